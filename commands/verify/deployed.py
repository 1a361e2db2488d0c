"""A deployed stage, as the checks look at it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from commands.deployed_api import find_api
from commands.target import Choice, Target
from contract.deployment import Deployment
from contract.names import StackPart
from faq_search.settings import Api

if TYPE_CHECKING:
    from commands.clients import Clients
    from stage.settings import Settings
    from stage.tables import EndpointSettings


@dataclass(frozen=True)
class Deployed:
    """A stage where it is deployed."""

    target: Target
    choice: Choice

    @property
    def settings(self) -> Settings:
        return self.choice.settings

    @property
    def client(self) -> Clients:
        """Gives boto3's clients of the stage's region, or of another one."""
        return self.target.client

    @cached_property
    def api(self) -> Api:
        return find_api(self.target, self.choice)

    @cached_property
    def endpoints(self) -> dict[str, EndpointSettings]:
        """Each endpoint's settings by its name."""
        names = self.settings.names
        return {names.endpoint(each.instance_type): each for each in self.settings.endpoints}

    @cached_property
    def deployment(self) -> Deployment:
        name = self.settings.names.deployment_parameter
        parameter = self.client("ssm").get_parameter(Name=name)["Parameter"]
        return Deployment.from_json(parameter["Value"])

    @cached_property
    def resources(self) -> dict[str, list[str]]:
        """The physical ids of all stacks' resources, by type."""
        found: dict[str, list[str]] = {}
        request = "cloudformation", "list_stack_resources", "StackResourceSummaries"
        for part in self.settings.stacks:
            for each in self.listed(*request, StackName=self.settings.names.stack(part)):
                found.setdefault(each["ResourceType"], []).append(each["PhysicalResourceId"])
        return found

    @cached_property
    def alarms(self) -> list[Mapping[str, Any]]:
        """Every alarm of the stage."""
        prefix = self.settings.names.stack("*").rstrip("*")
        request = "cloudwatch", "describe_alarms", "MetricAlarms"
        return list(self.listed(*request, AlarmNamePrefix=prefix))

    def listed(self, service: str, operation: str, key: str, **request: Any) -> Iterator[Any]:
        """What all pages of an answer hold under a key."""
        for page in self.client(service).get_paginator(operation).paginate(**request):
            yield from page[key]

    def output(self, part: StackPart, key: str) -> str:
        """An output of a stack."""
        stack = self.target.find_stack(self.settings.names.stack(part)) or {}
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
        return str(outputs[key])

    def newest_stream(self, group: str) -> str | None:
        """The name of a log's newest stream."""
        streams = self.client("logs").describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True, limit=1
        )["logStreams"]
        return streams[0]["logStreamName"] if streams else None

    def ask(self, endpoint: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """An endpoint's own answer, and how often the SDK had to repeat the request.

        The front door would turn to another endpoint.
        """
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Body=json.dumps(request)
        )
        retries = answer["ResponseMetadata"].get("RetryAttempts", 0)
        return json.loads(answer["Body"].read()), retries
