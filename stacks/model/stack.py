"""The Model stack: bake, models, endpoints, and the proof that they answer.

They are one stack because they change together: a retrain replaces the models and rolls the
endpoints, and when any of it fails CloudFormation takes all of it back.
"""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stacks.common.alarms import alarm
from stacks.foundation.stack import FoundationStack
from stacks.model.bake import Bake
from stacks.model.endpoint import EmbeddingEndpoint
from stacks.model.probe import Probe
from stacks.model.serving_model import ServingModel
from stacks.model.smoke_test import SmokeTest
from stacks.model.switch import ServingSwitch
from stage.instance_types import is_gpu
from stage.settings import Settings


class ModelStack(cdk.Stack):
    """Bakes the corpus into the model and serves it: one endpoint per instance type.

    While switched off there are no endpoints; bakes, models and the parameters that name them go
    on, so that batches run, and so that switching on needs no training.
    """

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
        switch = ServingSwitch(self, "Serving")
        bake = self._bake(settings, foundation)
        models = self._models(settings, foundation, bake)
        endpoints = [
            EmbeddingEndpoint(
                self,
                f"Endpoint-{endpoint.instance_type.removeprefix('ml.').replace('.', '-')}",
                settings=settings,
                endpoint=endpoint,
                model=models[is_gpu(endpoint.instance_type)],
                switch=switch,
                key=foundation.key,
                topic=foundation.topic,
            )
            for endpoint in settings.endpoints
        ]
        smoke_test = SmokeTest(
            self, "SmokeTest", settings=settings, bake=bake, endpoints=endpoints, switch=switch
        ).resource
        Probe(
            self,
            "Probe",
            settings=settings,
            endpoints=endpoints,
            switch=switch,
            after=smoke_test,
        )
        parameters = [
            *self._parameters(settings, bake, models),
            switch.tell(settings),
        ]
        for parameter in parameters:
            # Read at run time by those who must not be redeployed for a new corpus; written only
            # once the endpoints, if there are any, have shown that they serve it.
            parameter.node.add_dependency(smoke_test)

    def _bake(self, settings: Settings, foundation: FoundationStack) -> Bake:
        bake = Bake(
            self,
            "Bake",
            settings=settings,
            artifacts=foundation.storage.artifacts,
            execution_role=foundation.execution_role,
            key=foundation.key,
        )
        alarm(
            self,
            "BakeFailed",
            metric=bake.state_machine.metric_failed(
                statistic=cloudwatch.Stats.SUM, period=cdk.Duration.minutes(5)
            ),
            threshold=0,
            topic=foundation.topic,
            description=f"A bake of {settings.stage} failed; the previous version keeps serving."
            " See the stack's events for the reason, and the training job's log for details.",
        )
        return bake

    def _models(
        self, settings: Settings, foundation: FoundationStack, bake: Bake
    ) -> dict[bool, ServingModel]:
        """One for each processor that endpoints and batches run on: whether GPU -> model."""
        types = [*(e.instance_type for e in settings.endpoints), settings.batch_instance_type]
        return {
            gpu: ServingModel(
                self,
                f"{'Gpu' if gpu else 'Cpu'}Model",
                settings=settings,
                bake=bake,
                execution_role=foundation.execution_role,
                gpu=gpu,
            )
            for gpu in dict.fromkeys(map(is_gpu, types))
        }

    def _parameters(
        self, settings: Settings, bake: Bake, models: dict[bool, ServingModel]
    ) -> list[ssm.StringParameter]:
        model = settings.jumpstart_model
        deployed = {
            "bake_id": bake.bake_id,
            "model_id": model.id,
            "model_version": model.version,
            "dimension": model.dimension,
            "corpus_sha256": settings.corpus_sha256,
        }
        values = {settings.names.deployment_parameter: json.dumps(deployed)}
        for gpu, each in models.items():
            values[settings.names.model_name_parameter(gpu=gpu)] = each.name
        return [
            ssm.StringParameter(
                self,
                f"Parameter{name.removeprefix(settings.names.parameter_prefix)}",
                parameter_name=name,
                string_value=value,
            )
            for name, value in values.items()
        ]
