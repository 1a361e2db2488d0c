"""Models: the environment of an image, and where its files are. The image is not used."""

from __future__ import annotations

from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.errors import already_exists, invalid, not_found
from local_aws.sagemaker.model_data import model_data, version_of
from local_aws.sagemaker.resources import Action, arn_of, list_page, now, select_members


class Models:
    """Models by name."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._models: dict[str, dict[str, Any]] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            "CreateModel": self._create,
            "DescribeModel": self._describe,
            "DeleteModel": self._delete,
            "ListModels": self._list,
        }

    def container(self, name: str) -> dict[str, Any]:
        """The ContainerDefinition of a model; ApiError if there is no such model."""
        model = self._find(name)
        container: dict[str, Any] = model.get("PrimaryContainer") or model["Containers"][0]
        return container

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        arn = self._arn(name)
        if name in self._models:
            raise already_exists("model", arn)
        containers = request.get("Containers") or [request.get("PrimaryContainer")]
        if len(containers) != 1 or containers[0] is None:
            raise invalid("The local AWS has no inference pipelines: give exactly one container.")
        self._check_model_data(containers[0], request.get("ExecutionRoleArn", ""))
        self._models[name] = {**request, "ModelArn": arn, "CreationTime": now()}
        return {"ModelArn": arn}

    def _check_model_data(self, container: dict[str, Any], role: str) -> None:
        try:
            location = model_data(container)
        except ValueError as error:
            raise invalid(f"Could not access model data: {error}.") from error
        if location is not None and version_of(self._context.client("s3"), location) is None:
            raise invalid(
                f"Could not access model data at {location}. "
                f'Please ensure that the role "{role}" exists and that its trust relationship '
                'policy allows the action "sts:AssumeRole" for the service principal '
                '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" '
                f"permissions and that the object is located in {self._context.region}."
            )

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return select_members("DescribeModel", self._find(request["ModelName"]))

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self._find(request["ModelName"])
        self._models.pop(model["ModelName"], None)
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_page(request, self._models.values(), kind="Model", answer="Models")

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self._models:
            raise not_found("model", self._arn(name))
        return self._models[name]

    def _arn(self, name: str) -> str:
        return arn_of(self._context, "model", name)
