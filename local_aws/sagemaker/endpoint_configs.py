"""Endpoint configurations: which model on which instances."""

from __future__ import annotations

from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.errors import already_exists, invalid, not_found
from local_aws.sagemaker.fleet import Variant
from local_aws.sagemaker.instance_types import check_hosting_volume
from local_aws.sagemaker.models import Models
from local_aws.sagemaker.resources import arn_of, list_page, now, select_members
from local_aws.sagemaker.tags import Action, Tags


class EndpointConfigs:
    """Endpoint configurations by name."""

    def __init__(self, context: Context, models: Models, tags: Tags) -> None:
        self._context = context
        self._models = models
        self._tags = tags
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
        """A configuration as it was requested.

        Raises:
            ApiError: There is no such configuration.
        """
        if name not in self._configs:
            raise not_found("endpoint configuration", self._arn(name))
        return self._configs[name]

    def variants(self, name: str) -> list[Variant]:
        """Copies of a configuration's variants with their models' containers.

        Raises:
            ApiError: Configuration or model is gone.
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
        self._tags.put(arn, request.get("Tags"))
        return {"EndpointConfigArn": arn}

    def _check_variant(self, variant: dict[str, Any], key: str | None) -> None:
        name = variant["VariantName"]
        if "ModelName" not in variant:
            raise invalid(
                f"Variant {name} needs a ModelName: inference components do not run here."
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
        del self._configs[config["EndpointConfigName"]]
        self._tags.forget(config["EndpointConfigArn"])
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_page(
            request, self._configs.values(), kind="EndpointConfig", answer="EndpointConfigs"
        )

    def _arn(self, name: str) -> str:
        return arn_of(self._context, "endpoint-config", name)
