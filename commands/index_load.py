"""How far the loading of an index of S3 Vectors is, and that a failed one goes on."""

from __future__ import annotations

import json
import time

from commands.console import console, say
from commands.deployed_stage import DeployedStage
from commands.errors import CommandError
from commands.target import Target
from contract.index_objects import execution_name
from contract.outputs import INDEX_WORKFLOW_ARN
from stage.settings import Settings

_SECONDS_BETWEEN_LOOKS = 1.0


def show(target: Target, settings: Settings) -> None:
    """Prints which index is searched, and how far the wanted one is."""
    stage = DeployedStage(settings, target)
    load, searched = stage.indexes.load(), stage.deployed()
    console.print(f"  index searched: {searched.bake_id if searched else 'none yet'}")
    if load and not (searched and searched.bake_id == load.index_id):
        console.print(f"  index {load.index_id}: {load}", highlight=False)


def go_on(target: Target, settings: Settings) -> None:
    """After a deployment: starts a loading that failed once more, and says how far it is.

    A deployment that changes nothing starts nothing itself.
    """
    stage = DeployedStage(settings, target)
    load, searched = stage.indexes.load(), stage.deployed()
    if load is None or (searched and searched.bake_id == load.index_id):
        return
    if load.progress.get("error"):
        _start_again(target, settings, load.index_id, json.dumps(load.wanted))
    console.print(
        f"The corpus is being loaded into the index {load.index_id[:12]}…; until that is complete,"
        f" {f'the index {searched.bake_id[:12]}… answers' if searched else 'searches get 503'}."
        " How far it is: make status"
    )


def _start_again(target: Target, settings: Settings, index_id: str, task: str) -> None:
    client = target.client("stepfunctions")
    stack = target.find_stack(settings.names.stack("Index")) or {}
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
    arn = outputs[INDEX_WORKFLOW_ARN]
    executions = client.get_paginator("list_executions").paginate(stateMachineArn=arn)
    known = {each["name"]: each["status"] for page in executions for each in page["executions"]}
    names = [execution_name(index_id, number) for number in range(1, len(known) + 2)]
    if any(known.get(each) == "RUNNING" for each in names):
        return
    free = next(each for each in names if each not in known)
    client.start_execution(stateMachineArn=arn, name=free, input=task)
    console.print("The loading failed before; it goes on where it stopped.")


def wait(target: Target, settings: Settings) -> None:
    """Returns once the wanted index is searched. Raises CommandError if it cannot be loaded."""
    stage = DeployedStage(settings, target)
    said = ""
    while True:
        load, searched = stage.indexes.load(), stage.deployed()
        if load is None or (searched and searched.bake_id == load.index_id):
            return
        if load.progress.get("error"):
            raise CommandError(f"The index was {load}.")
        if str(load) != said:
            said = str(load)
            say(f"  index {load.index_id[:12]}…: {said}", style="dim")
        time.sleep(_SECONDS_BETWEEN_LOOKS)
