"""Deploys templates without the resources that an emulator refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.context import Context
from tools.second_opinion.facts import Fact, Facts


def refusals(context: Context, stacks: Iterable[str]) -> Facts:
    """Which resources could not be created, and why."""
    found: Facts = {}
    for stack in stacks:
        try:
            events = context.client("cloudformation").describe_stack_events(StackName=stack)
        except ClientError:
            continue  # it was not reached
        for event in events["StackEvents"]:
            kind, reason = event["ResourceType"], event.get("ResourceStatusReason", "")
            if event["ResourceStatus"] == "CREATE_FAILED" and kind != "AWS::CloudFormation::Stack":
                found[Fact(kind, event["LogicalResourceId"], "status")] = f"refused: {reason}"
    return found


def leave_out(context: Context, assembly: Path, names: set[str]) -> Facts:
    """Removes resources, and what needs them, from the templates of an assembly."""
    removed: Facts = {}
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    for artifact in manifest["artifacts"].values():
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        file = assembly / artifact["properties"]["templateFile"]
        template = json.loads(file.read_text(encoding="utf-8"))
        if gone := without(template, names):
            removed |= {Fact(gone[name], name, "status"): "left out" for name in gone}
            file.write_text(json.dumps(template), encoding="utf-8")
            # The CDK command line takes what is published under the old template's hash as it is.
            url = artifact["properties"]["stackTemplateAssetObjectUrl"]
            bucket, _, key = url.removeprefix("s3://").partition("/")
            bucket = bucket.replace("${AWS::AccountId}", context.account_id)
            context.client("s3").delete_object(Bucket=bucket, Key=key)
    return removed


def without(template: dict[str, Any], names: set[str]) -> dict[str, str]:
    """Removes resources from a template, and whatever needs them.

    Returns the types of all those, by their names.
    """
    resources: dict[str, Any] = template["Resources"]
    gone = {name: resources[name]["Type"] for name in names & resources.keys()}
    while more := {
        name: resource["Type"]
        for name, resource in resources.items()
        if name not in gone and _refers(resource.get("Properties"), gone.keys())
    }:
        gone |= more
    for name in gone:
        del resources[name]
    for resource in resources.values():
        if "DependsOn" in resource:
            resource["DependsOn"] = [name for name in resource["DependsOn"] if name not in gone]
    outputs = template.get("Outputs", {})
    template["Outputs"] = {k: v for k, v in outputs.items() if not _refers(v, gone.keys())}
    return gone


def _refers(value: Any, names: Set[str]) -> bool:
    if isinstance(value, list):
        return any(_refers(item, names) for item in value)
    if not isinstance(value, dict):
        return False
    target = value.get("Fn::GetAtt", [""])
    text = value.get("Fn::Sub", "")
    texts = re.findall(r"\$\{(\w+)", text if isinstance(text, str) else text[0])
    return (
        value.get("Ref") in names
        or (target if isinstance(target, str) else target[0]).partition(".")[0] in names
        or not names.isdisjoint(texts)
        or any(_refers(item, names) for item in value.values())
    )
