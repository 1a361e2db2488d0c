"""Models and endpoint configurations.

Of a model only the environment and the files are used, not the image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from local_aws.context import Context
from local_aws.iam.access import Access
from local_aws.sagemaker.execution_role import ExecutionRole
from local_aws.sagemaker.fleet import Variant
from local_aws.sagemaker.model_data import model_data, version_of
from local_aws.sagemaker.resources import (
    Action,
    already_exists,
    arn_of,
    check_hosting_volume,
    invalid,
    list_page,
    not_found,
    now,
    select_members,
)
from local_aws.sagemaker.storage import Location


class Records(ABC):
    """Resources of one kind by name, which only describe something."""

    kind: ClassVar[str]
    words: ClassVar[str]
    arn_kind: ClassVar[str]

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records: dict[str, dict[str, Any]] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            f"Create{self.kind}": self._create,
            f"Describe{self.kind}": self._describe,
            f"Delete{self.kind}": self._delete,
            f"List{self.kind}s": self._list,
        }

    def find(self, name: str) -> dict[str, Any]:
        """A resource as it was requested; ApiError if there is none."""
        if name not in self._records:
            raise not_found(self.words, self._arn(name))
        return self._records[name]

    @abstractmethod
    def check(self, request: dict[str, Any]) -> None:
        """Raises ApiError for requests that SageMaker refuses although its model allows them."""

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request[f"{self.kind}Name"]
        arn = {f"{self.kind}Arn": self._arn(name)}
        if name in self._records:
            raise already_exists(self.words, self._arn(name))
        self.check(request)
        self._records[name] = {**request, **arn, "CreationTime": now()}
        return arn

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return select_members(f"Describe{self.kind}", self.find(request[f"{self.kind}Name"]))

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        self._records.pop(self.find(request[f"{self.kind}Name"])[f"{self.kind}Name"], None)
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_page(request, self._records.values(), kind=self.kind, answer=f"{self.kind}s")

    def _arn(self, name: str) -> str:
        return arn_of(self._context, self.arn_kind, name)


class Models(Records):
    """Models by name."""

    kind = "Model"
    words = "model"
    arn_kind = "model"

    def __init__(self, context: Context, access: Access) -> None:
        super().__init__(context)
        self._access = access

    def container(self, name: str) -> dict[str, Any]:
        """The ContainerDefinition of a model; ApiError if there is no such model."""
        model = self.find(name)
        container: dict[str, Any] = model.get("PrimaryContainer") or model["Containers"][0]
        return container

    def role(self, name: str) -> ExecutionRole:
        """The execution role of a model.

        Raises:
            ApiError: There is no such model, or SageMaker cannot assume its role.
        """
        return self._role(self.find(name))

    def check(self, request: dict[str, Any]) -> None:
        containers = request.get("Containers") or [request.get("PrimaryContainer")]
        if len(containers) != 1 or containers[0] is None:
            raise invalid("The local AWS has no inference pipelines: give exactly one container.")
        try:
            location = model_data(containers[0])
        except ValueError as error:
            raise invalid(f"Could not access model data: {error}.") from error
        if "ExecutionRoleArn" not in request:
            raise invalid("ExecutionRoleArn must be specified.")
        self._check_access(request, containers[0].get("Image", ""), location)

    def _role(self, request: dict[str, Any]) -> ExecutionRole:
        source = self._arn(request["ModelName"])
        return ExecutionRole(self._context, self._access, request["ExecutionRoleArn"], source)

    def _check_access(self, request: dict[str, Any], image: str, location: Location | None) -> None:
        """SageMaker finds out at once whether the role can get the image and the model data."""
        role, role_arn = self._role(request), request["ExecutionRoleArn"]
        role.pull_image(image)
        if location is not None and version_of(role.client("s3"), location) is None:
            raise invalid(
                f"Could not access model data at {location}. Please ensure that the role "
                f'"{role_arn}" exists and that its trust relationship '
                'policy allows the action "sts:AssumeRole" for the service principal '
                '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" '
                f"permissions and that the object is located in {self._context.region}."
            )


class EndpointConfigs(Records):
    """Endpoint configurations by name."""

    kind = "EndpointConfig"
    words = "endpoint configuration"
    arn_kind = "endpoint-config"

    def __init__(self, context: Context, models: Models) -> None:
        super().__init__(context)
        self._models = models

    def variants(self, name: str) -> list[Variant]:
        """Copies of a configuration's variants with their models' containers.

        Raises:
            ApiError: The configuration or a model does not exist.
        """
        return [
            Variant(
                dict(variant),
                dict(self._models.container(variant["ModelName"])),
                self._models.role(variant["ModelName"]),
                self.find(name).get("KmsKeyId"),
            )
            for variant in self.find(name)["ProductionVariants"]
        ]

    def check(self, request: dict[str, Any]) -> None:
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(set(names)) != len(names):
            raise invalid("The names of production variants must be unique.")
        for variant in request["ProductionVariants"]:
            self._check_variant(variant, request.get("KmsKeyId"))

    def _check_variant(self, variant: dict[str, Any], key: str | None) -> None:
        name = variant["VariantName"]
        if "ModelName" not in variant:
            raise invalid(
                f"Variant {name} needs a ModelName: the local AWS has no inference components."
            )
        self._models.container(variant["ModelName"])
        if "ServerlessConfig" in variant:
            return
        for member in ("InstanceType", "InitialInstanceCount"):
            if member not in variant:
                raise invalid(f"{member} must be specified for the production variant {name}.")
        check_hosting_volume(variant["InstanceType"], variant.get("VolumeSizeInGB"), key)
