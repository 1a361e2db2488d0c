"""The Model stack: bake, models, endpoints, and the proof that they answer.

They are one stack because they change together: a retrain replaces the models and rolls the
endpoints, and when any of it fails CloudFormation takes all of it back.
"""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stacks.bake import Bake
from stacks.embedding_endpoint import EmbeddingEndpoint
from stacks.foundation import FoundationStack
from stacks.instance_types import is_gpu
from stacks.serving_model import ServingModel
from stacks.settings import Settings
from stacks.smoke_test import SmokeTest


class ModelStack(cdk.Stack):
    """Bakes the corpus into the model and serves it: one endpoint per instance type."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        **options: Any,
    ) -> None:
        super().__init__(scope, id_, **options)
        role, key = foundation.execution_role, foundation.key
        bake = Bake(
            self,
            "Bake",
            settings=settings,
            artifacts=foundation.storage.artifacts,
            execution_role=role,
            key=key,
        )
        models: dict[str, ServingModel] = {}
        endpoints = []
        for endpoint in settings.endpoints:
            gpu = is_gpu(endpoint.instance_type)
            processor = "Gpu" if gpu else "Cpu"
            if processor not in models:
                models[processor] = ServingModel(
                    self,
                    f"{processor}Model",
                    settings=settings,
                    bake=bake,
                    execution_role=role,
                    gpu=gpu,
                )
            name = settings.endpoint_name(endpoint.instance_type)
            endpoints.append(
                EmbeddingEndpoint(
                    self,
                    f"Endpoint-{endpoint.instance_type.removeprefix('ml.').replace('.', '-')}",
                    name=name,
                    endpoint=endpoint,
                    model=models[processor],
                    key=key,
                )
            )
        smoke_test = SmokeTest(self, "SmokeTest", settings=settings, bake=bake, endpoints=endpoints)
        model = settings.jumpstart_model
        deployed = {
            "bake_id": bake.bake_id,
            "model_id": model.id,
            "model_version": model.version,
            "dimension": model.dimension,
            "corpus_sha256": settings.corpus_sha256,
        }
        parameters = {settings.deployment_parameter: json.dumps(deployed)}
        for processor, each in models.items():
            parameters[f"{settings.parameter_prefix}/model-name/{processor.lower()}"] = each.name
        for parameter, value in parameters.items():
            # Read at run time by those who must not be redeployed for a new corpus; written only
            # once the endpoints have shown that they serve it.
            ssm.StringParameter(
                self,
                f"Parameter{parameter.removeprefix(settings.parameter_prefix)}",
                parameter_name=parameter,
                string_value=value,
            ).node.add_dependency(smoke_test.resource)
