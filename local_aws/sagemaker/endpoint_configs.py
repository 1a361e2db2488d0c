"""Endpoint configurations: models and their instances."""

from __future__ import annotations

from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.errors import already_exists, invalid, not_found
from local_aws.sagemaker.fleet import Variant
from local_aws.sagemaker.instance_types import check_hosting_volume
from local_aws.sagemaker.models import Models
from local_aws.sagemaker.resources import Action, arn_of, list_page, now, select_members


class EndpointConfigs:
    """Endpoint configurations by name."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context = context
        self._models = models
        self._configs: dict[str, dict[str, Any]] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": self._describe,
            "DeleteEndpointConfig": self._delete,
            "ListEndpointConfigs": self._list,
        }

    def find(self, name: str) -> dict[str, Any]:
        """A configuration as it was requested; ApiError if there is none."""
        if name not in self._configs:
            raise not_found("endpoint configuration", self._arn(name))
        return self._configs[name]

    def variants(self, name: str) -> list[Variant]:
        """Copies of a configuration's variants with their models' containers.

        Raises:
            ApiError: The configuration or a model does not exist.
        """
        return [
            Variant(dict(variant), dict(self._models.container(variant["ModelName"])))
            for variant in self.find(name)["ProductionVariants"]
        ]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        arn = self._arn(name)
        if name in self._configs:
            raise already_exists("endpoint configuration", arn)
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(set(names)) != len(names):
            raise invalid("The names of production variants must be unique.")
        for variant in request["ProductionVariants"]:
            self._check_variant(variant, request.get("KmsKeyId"))
        self._configs[name] = {**request, "EndpointConfigArn": arn, "CreationTime": now()}
        return {"EndpointConfigArn": arn}

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

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return select_members("DescribeEndpointConfig", self.find(request["EndpointConfigName"]))

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        config = self.find(request["EndpointConfigName"])
        self._configs.pop(config["EndpointConfigName"], None)
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_page(
            request, self._configs.values(), kind="EndpointConfig", answer="EndpointConfigs"
        )

    def _arn(self, name: str) -> str:
        return arn_of(self._context, "endpoint-config", name)
