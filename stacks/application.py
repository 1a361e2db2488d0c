"""Composes the stacks of one stage."""

from __future__ import annotations

import aws_cdk as cdk

from contract.names import APP_NAME
from stacks.batch.stack import BatchStack
from stacks.foundation.stack import FoundationStack
from stacks.front_door.stack import FrontDoorStack
from stacks.model.stack import ModelStack
from stacks.operations.stack import OperationsStack
from stage.settings import Settings


def build_application(app: cdk.App, settings: Settings) -> None:
    """Adds the stacks of a stage to `app`."""
    # Everything published for this app shares a prefix, so that grants can name the prefix and a
    # new corpus changes no policy.
    asset_prefix = f"{APP_NAME}/{settings.stage}/"

    def common() -> dict[str, object]:
        return {
            "env": cdk.Environment(region=settings.region),
            "synthesizer": cdk.DefaultStackSynthesizer(bucket_prefix=asset_prefix),
            "tags": {"application": APP_NAME, "stage": settings.stage, **settings.tags},
            "termination_protection": settings.removal_policy == "retain",
        }

    foundation = FoundationStack(
        app,
        settings.names.stack("Foundation"),
        settings=settings,
        asset_prefix=asset_prefix,
        description="FAQ search: key, buckets and the role SageMaker assumes",
        **common(),
    )
    model = ModelStack(
        app,
        settings.names.stack("Model"),
        settings=settings,
        foundation=foundation,
        description="FAQ search: the bake of the corpus, the models and their endpoints",
        **common(),
    )
    batch = BatchStack(
        app,
        settings.names.stack("Batch"),
        settings=settings,
        foundation=foundation,
        description="FAQ search: vectors for files of any size, by batch transform",
        **common(),
    )
    # It finds the model by SSM parameters alone, so nothing else tells CloudFormation the order.
    batch.add_stack_dependency(model)
    front_door = FrontDoorStack(
        app,
        settings.names.stack("FrontDoor"),
        settings=settings,
        foundation=foundation,
        description="FAQ search: the REST API",
        **common(),
    )
    # It reaches endpoints and batches by name alone: nothing else tells CloudFormation the order.
    front_door.add_stack_dependency(model)
    front_door.add_stack_dependency(batch)
    operations = OperationsStack(
        app,
        settings.names.stack("Operations"),
        settings=settings,
        foundation=foundation,
        watched=[foundation, model, batch, front_door],
        description="FAQ search: dashboard, alarms of the corpus, schedule, budget, roles for CI",
        **common(),
    )
    # It watches and switches the others, which it knows by name.
    for watched in (model, batch, front_door):
        operations.add_stack_dependency(watched)
