"""Composes the stacks of one stage."""

from __future__ import annotations

import aws_cdk as cdk

from stacks.batch.stack import BatchStack
from stacks.foundation.stack import FoundationStack
from stacks.front_door.stack import FrontDoorStack
from stacks.index.stack import IndexStack
from stacks.model.stack import ModelStack
from stacks.operations.stack import OperationsStack
from stage.settings import Settings


def build_application(app: cdk.App, settings: Settings) -> None:
    """Adds the stacks of a stage to `app`."""
    foundation = FoundationStack(app, settings=settings)
    model = ModelStack(app, settings=settings, foundation=foundation)
    batch = BatchStack(app, settings=settings, foundation=foundation)
    search: list[cdk.Stack] = []
    if settings.search.has_vector_index:
        search.append(IndexStack(app, settings=settings, foundation=foundation))
    front_door = FrontDoorStack(app, settings=settings, foundation=foundation)
    operations = OperationsStack(
        app,
        settings=settings,
        foundation=foundation,
        watched=[foundation, model, batch, *search, front_door],
    )
    # These find each other by name, so nothing else tells CloudFormation the order.
    batch.add_stack_dependency(model)
    for index in search:
        index.add_stack_dependency(batch)
    for needed in (model, batch, *search):
        front_door.add_stack_dependency(needed)
    for watched in (model, batch, *search, front_door):
        operations.add_stack_dependency(watched)
