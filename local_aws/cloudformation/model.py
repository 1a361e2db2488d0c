"""Stacks and their parts."""

from __future__ import annotations

import secrets
import string
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.template import Template
from local_aws.iam.principals import AccessKey

_LETTERS = string.ascii_uppercase + string.digits


def random_suffix(length: int = 12) -> str:
    """Capital letters and digits, as at the end of CloudFormation's names."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


@dataclass(frozen=True)
class Resource:
    """A resource in its last successful state.

    Args:
        properties: With resolved functions and the stack's tags.
        attributes: What Fn::GetAtt finds.
        dependencies: Logical ids of the resources that it must be deleted before.
    """

    logical_id: str
    type: str
    physical_id: str
    properties: dict[str, Value]
    attributes: dict[str, Value]
    dependencies: frozenset[str]
    deletion_policy: str
    update_replace_policy: str
    status: str
    updated: datetime
    reason: str | None = None


@dataclass(frozen=True)
class Event:
    """One line of a stack's history."""

    id: str
    time: datetime
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str | None
    operation: str


@dataclass(frozen=True)
class Output:
    """An output of a stack, and the name of its export if it is exported."""

    value: str
    description: str | None
    export: str | None


@dataclass(frozen=True)
class Definition:
    """A template with its parameters and tags.

    Args:
        parameters: The given values and the defaults.
        values: Parameters as functions see them, with SSM parameters fetched.
        tags: The stack's tags by key.
    """

    template: Template
    parameters: dict[str, str]
    values: dict[str, Value]
    tags: dict[str, str]


@dataclass
class ChangeSet:
    """A proposal to create or update a stack."""

    id: str
    name: str
    type: str
    definition: Definition
    description: str | None
    changes: list[dict[str, Value]]
    status: str
    execution_status: str
    reason: str | None
    created: datetime
    rollback: bool = True


@dataclass
class Stack:
    """A stack, its resources and its history. `lock` guards all changes to it.

    Args:
        acts_with: The key of the principal that works on it: its role, or the operation's caller.
        operation: Id of the operation that events belong to; the CLI explains only the last one.
    """

    id: str
    name: str
    region: str
    created: datetime
    status: str
    definition: Definition | None = None
    reason: str | None = None
    updated: datetime | None = None
    deleted: datetime | None = None
    role_arn: str | None = None
    acts_with: AccessKey | None = None
    description: str | None = None
    termination_protection: bool = False
    rollback: bool = True
    operation: str = ""
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def in_progress(self) -> bool:
        """Whether an operation is running."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def now(self) -> datetime:
        """The time, later than that of any event, because the CLI sorts events by time."""
        now = datetime.now(UTC)
        if self.events and now <= self.events[-1].time:
            now = self.events[-1].time
        return (now + timedelta(milliseconds=1)).replace(
            microsecond=(now + timedelta(milliseconds=1)).microsecond // 1000 * 1000
        )

    def add_event(
        self,
        logical_id: str,
        physical_id: str,
        resource_type: str,
        status: str,
        reason: str | None = None,
    ) -> datetime:
        """Adds an event and returns its time."""
        with self.lock:
            time = self.now()
            event = Event(
                str(uuid.uuid4()),
                time,
                logical_id,
                physical_id,
                resource_type,
                status,
                reason,
                self.operation,
            )
            self.events.append(event)
            return time

    def enter(self, status: str, reason: str | None = None) -> None:
        """Changes the stack's status and adds the event for it."""
        with self.lock:
            self.add_event(self.name, self.id, "AWS::CloudFormation::Stack", status, reason)
            self.status, self.reason = status, reason
