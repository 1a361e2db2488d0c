"""The Model stack: bake, models, endpoints, and the proof that they answer correctly.

They are one stack because they change together: a retrain replaces the models and updates the
endpoints, and if any of it fails CloudFormation rolls all of it back.
"""

from __future__ import annotations

import itertools

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from contract.deployment import Deployment
from stacks.alarms.stage import bake_alarm
from stacks.common.stage_stack import StageStack
from stacks.foundation.stack import FoundationStack
from stacks.model.bake import Bake
from stacks.model.endpoint import EmbeddingEndpoint, ServingModel
from stacks.model.examination import Probe, SmokeTest
from stacks.model.switch import ServingSwitch
from stage.instance_types import is_gpu
from stage.settings import Settings


class ModelStack(StageStack):
    """Bakes the corpus into the model and serves it: one endpoint per instance type.

    While switched off there are no endpoints. Bakes, models and the parameters that name them
    stay, so that batches run and switching on needs no training.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, foundation: FoundationStack
    ) -> None:
        super().__init__(
            scope,
            "Model",
            settings=settings,
            contents="the bake of the corpus, the models and their endpoints",
            foundation=foundation,
        )
        self._foundation = foundation
        switch = ServingSwitch(self, "Serving")
        bake = self._bake()
        models = self._models(bake)
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
        # One after another: SageMaker lets nobody touch an endpoint while it changes, so if one
        # failed beside another that is still being updated, rolling back would fail as well.
        for before, after in itertools.pairwise(endpoints):
            after.resource.add_dependency(before.resource)
        smoke_test = SmokeTest(
            self, "SmokeTest", bake=bake, endpoints=endpoints, switch=switch
        ).resource
        Probe(
            self,
            "Probe",
            settings=settings,
            endpoints=endpoints,
            switch=switch,
            after=smoke_test,
        )
        for parameter in (*self._parameters(bake, models), switch.publish(settings)):
            # Functions that a new corpus must not redeploy read these at run time. They change
            # only once the endpoints, if there are any, have passed the test.
            parameter.node.add_dependency(smoke_test)

    def _bake(self) -> Bake:
        foundation = self._foundation
        bake = Bake(
            self,
            "Bake",
            settings=self.settings,
            artifacts=foundation.storage.artifacts,
            execution_role=foundation.execution_role,
            key=foundation.key,
        )
        bake_alarm(
            self,
            settings=self.settings,
            state_machine=bake.state_machine,
            topic=foundation.topic,
        )
        return bake

    def _models(self, bake: Bake) -> dict[bool, ServingModel]:
        """One for each processor that endpoints and batches run on: whether GPU -> model."""
        settings = self.settings
        types = [*(e.instance_type for e in settings.endpoints), settings.batch_instance_type]
        return {
            gpu: ServingModel(
                self,
                f"{'Gpu' if gpu else 'Cpu'}Model",
                settings=settings,
                bake=bake,
                execution_role=self._foundation.execution_role,
                gpu=gpu,
            )
            for gpu in dict.fromkeys(map(is_gpu, types))
        }

    def _parameters(
        self, bake: Bake, models: dict[bool, ServingModel]
    ) -> list[ssm.StringParameter]:
        model, names = self.settings.jumpstart_model, self.settings.names
        deployment = Deployment(
            bake_id=bake.bake_id,
            model_id=model.id,
            model_version=model.version,
            dimension=model.dimension,
            # With an index of S3 Vectors a new corpus changes nothing here.
            corpus_sha256=""
            if self.settings.search.has_vector_index
            else self.settings.corpus_sha256,
        )
        values = {names.deployment_parameter: deployment.to_json()}
        for gpu, each in models.items():
            values[names.model_name_parameter(gpu=gpu)] = each.name
        return [
            ssm.StringParameter(
                self,
                f"Parameter{name.removeprefix(names.parameter_prefix)}",
                parameter_name=name,
                string_value=value,
            )
            for name, value in values.items()
        ]
