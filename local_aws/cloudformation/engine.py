"""Brings a stack to what its definition asks, or back to what it was."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from botocore.exceptions import ClientError

from local_aws.cloudformation.changes import replacing, with_stack_tags
from local_aws.cloudformation.errors import ApiError, CancelledError, ResourceError
from local_aws.cloudformation.functions import Scope, Value, resolve
from local_aws.cloudformation.model import (
    Definition,
    Output,
    Resource,
    Stack,
    random_suffix,
)
from local_aws.cloudformation.resources.base import NoEffect, Provider, Request
from local_aws.cloudformation.scheduler import run_graph
from local_aws.cloudformation.template import Wanted
from local_aws.context import Context

_log = logging.getLogger(__name__)

NO_EFFECT = "Accepted; this type has no effect on the local AWS"


class Surroundings(Protocol):
    """What an operation needs to know of the other stacks."""

    def provider(self, resource_type: str) -> Provider:
        """The provider of a type; KeyError when there is none."""
        ...

    def scope(
        self,
        stack: Stack,
        definition: Definition,
        ref: Callable[[str], Value],
        get_att: Callable[[str, str], Value],
    ) -> Scope:
        """What the names in a template of `stack` stand for; notes the imports it resolves."""
        ...

    def check_exports(self, stack: Stack, outputs: dict[str, Output]) -> None:
        """Raises ResourceError where `outputs` take from others what they import."""
        ...


@dataclass(frozen=True)
class Change:
    """What an update did to one resource; `after` is None where it failed to come about."""

    before: Resource | None
    after: Resource | None


class Operation:
    """One create, update, rollback or delete of a stack.

    Args:
        context: Where providers send their calls.
        surroundings: The other stacks.
        stack: The stack; nothing else may work on it meanwhile.
    """

    def __init__(self, context: Context, surroundings: Surroundings, stack: Stack) -> None:
        self._context = context
        self._surroundings = surroundings
        self._stack = stack
        self._cancelled = threading.Event()
        self._changes: dict[str, Change] = {}
        self._stale: list[Resource] = []
        # What was there before; an update that fails leads back to it.
        self._original = dict(stack.resources)

    # Forward

    def deploy(self, definition: Definition) -> None:
        """Creates or updates, and rolls back where that fails."""
        stack = self._stack
        creating = stack.status == "CREATE_IN_PROGRESS"
        old_imports, stack.imports = stack.imports, set()
        try:
            failed = self._bring_about(definition)
            outputs = {} if failed else self._outputs(definition)
            if not failed:
                self._surroundings.check_exports(stack, outputs)
            reason = _failed_reason(failed, "create" if creating else "update")
        except (ApiError, ResourceError) as error:
            failed, outputs, reason = [stack.name], {}, str(error)
        if failed:
            if stack.rollback:
                stack.imports = old_imports
                self._roll_back(creating, reason)
            else:
                stack.enter("CREATE_FAILED" if creating else "UPDATE_FAILED", reason)
            return
        stack.definition, stack.outputs = definition, outputs
        stack.description = definition.template.body.get("Description")
        if creating:
            stack.enter("CREATE_COMPLETE")
            return
        stack.enter("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up(definition)
        stack.enter("UPDATE_COMPLETE")

    def _bring_about(self, definition: Definition) -> list[str]:
        wanted = definition.template.wanted(self._scope(definition))
        failures = run_graph(
            {name: set(item.dependencies) for name, item in wanted.items()},
            lambda name: self._apply(wanted[name], definition),
            stop_at_failure=True,
            on_failure=self._cancelled.set,
        )
        return sorted(failures)

    def _scope(self, definition: Definition) -> Scope:
        return self._surroundings.scope(self._stack, definition, self._ref, self._get_att)

    def _ref(self, name: str) -> Value:
        if name not in self._stack.resources:
            raise ApiError(f"Template format error: Unresolved resource dependencies [{name}]")
        return self._stack.resources[name].physical_id

    def _get_att(self, name: str, attribute: str) -> Value:
        resource = self._stack.resources.get(name)
        if resource is None:
            raise ApiError(f"Template error: instance of Fn::GetAtt references {name}, not there")
        if attribute not in resource.attributes:
            if resource.type.startswith("Custom::") or "CustomResource" in resource.type:
                raise ApiError(
                    f"CustomResource attribute error: Vendor response doesn't contain {attribute} "
                    f"attribute in object {resource.physical_id}"
                )
            raise ApiError(
                f"Template error: resource {name} does not support attribute type {attribute} "
                "in Fn::GetAtt"
            )
        return resource.attributes[attribute]

    def _apply(self, item: Wanted, definition: Definition) -> None:
        provider = self._surroundings.provider(item.type)
        before = self._stack.resources.get(item.logical_id)
        try:
            properties = resolve(item.properties, self._scope(definition))
        except ApiError as error:
            # Nothing was begun, so there is nothing to undo either.
            verb = "CREATE" if before is None else "UPDATE"
            told = self._stack.tell
            told(item.logical_id, "", item.type, f"{verb}_FAILED", error.message)
            raise
        properties = with_stack_tags(properties, provider.tags, definition.tags)
        if before is None:
            self._create(provider, item, properties, None)
        elif (
            before.type != item.type
            or before.status == "CREATE_FAILED"
            or replacing(item.type, before.properties, properties)
        ):
            self._create(provider, item, properties, before)
        elif before.properties != properties or before.status == "UPDATE_FAILED":
            self._update(provider, item, properties, before)
        else:
            self._record(
                self._resource(item, properties, before.physical_id, before.attributes),
                status=before.status,
                updated=before,
            )

    def _create(
        self,
        provider: Provider,
        item: Wanted,
        properties: dict[str, Value],
        before: Resource | None,
    ) -> None:
        stack, name = self._stack, item.logical_id
        verb = "CREATE" if before is None else "UPDATE"
        reason = None
        if before is not None:
            reason = (
                "Requested update requires the creation of a new physical resource; "
                "hence creating one."
            )
        elif isinstance(provider, NoEffect) and item.type != "AWS::CDK::Metadata":
            reason = NO_EFFECT
        stack.tell(name, "", item.type, f"{verb}_IN_PROGRESS", reason)
        try:
            result = provider.create(self._request(item.type, name, properties))
        except Exception as error:
            explained = self._explain(error, "creation" if before is None else "update")
            made = error.physical_id if isinstance(error, ResourceError) else None
            after = None
            if made is not None:
                after = self._resource(
                    item, properties, made, {}, status=f"{verb}_FAILED", reason=explained
                )
            self._changes[name] = Change(before, after)
            if before is None and after is not None:
                stack.resources[name] = after
            stack.tell(name, made or "", item.type, f"{verb}_FAILED", explained)
            raise
        stack.tell(
            name,
            result.physical_id,
            item.type,
            f"{verb}_IN_PROGRESS",
            "Resource creation Initiated",
        )
        after = self._resource(item, properties, result.physical_id, result.attributes)
        self._record(after, f"{verb}_COMPLETE")
        self._changes[name] = Change(before, after)
        if before is not None:
            self._stale.append(before)

    def _update(
        self,
        provider: Provider,
        item: Wanted,
        properties: dict[str, Value],
        before: Resource,
    ) -> None:
        stack, name = self._stack, item.logical_id
        stack.tell(name, before.physical_id, item.type, "UPDATE_IN_PROGRESS")
        self._changes[name] = Change(
            before, self._resource(item, properties, before.physical_id, before.attributes)
        )
        request = self._request(item.type, name, properties)
        try:
            result = provider.update(request, before.physical_id, before.properties)
        except Exception as error:
            explained = self._explain(error, "update")
            stack.resources[name] = dataclasses.replace(
                before, status="UPDATE_FAILED", reason=explained
            )
            stack.tell(name, before.physical_id, item.type, "UPDATE_FAILED", explained)
            raise
        after = self._resource(item, properties, result.physical_id, result.attributes)
        if result.physical_id != before.physical_id:
            stack.tell(
                name,
                result.physical_id,
                item.type,
                "UPDATE_IN_PROGRESS",
                "Requested update required the provider to create a new physical resource",
            )
            self._stale.append(before)
        self._changes[name] = Change(before, after)
        self._record(after, "UPDATE_COMPLETE")

    def _explain(self, error: Exception, doing: str) -> str:
        if isinstance(error, CancelledError):
            return f"Resource {doing} cancelled"
        if isinstance(error, ResourceError):
            return error.reason
        if isinstance(error, ClientError):
            told = error.response["Error"]
            return f"{told['Message']} ({error.operation_name}: {told['Code']})"
        _log.exception("a resource of %s failed unexpectedly", self._stack.name)
        return f"{type(error).__name__}: {error}"

    def _request(
        self, resource_type: str, logical_id: str, properties: dict[str, Value]
    ) -> Request:
        return Request(
            context=self._context,
            region=self._stack.region,
            stack_id=self._stack.id,
            stack_name=self._stack.name,
            logical_id=logical_id,
            type=resource_type,
            properties=properties,
            token=random_suffix(),
            cancelled=self._cancelled,
        )

    def _resource(
        self,
        item: Wanted,
        properties: dict[str, Value],
        physical_id: str,
        attributes: dict[str, Value],
        *,
        status: str = "CREATE_COMPLETE",
        reason: str | None = None,
    ) -> Resource:
        return Resource(
            logical_id=item.logical_id,
            type=item.type,
            physical_id=physical_id,
            properties=properties,
            attributes=attributes,
            dependencies=item.dependencies,
            deletion_policy=item.deletion_policy,
            update_replace_policy=item.update_replace_policy,
            status=status,
            updated=self._stack.now(),
            reason=reason,
        )

    def _record(self, resource: Resource, status: str, updated: Resource | None = None) -> None:
        """Makes `resource` the one of its name; silently where nothing happened to it."""
        stack = self._stack
        with stack.lock:
            if updated is None:
                time = stack.tell(resource.logical_id, resource.physical_id, resource.type, status)
            else:
                time = updated.updated
            stack.resources[resource.logical_id] = dataclasses.replace(
                resource, status=status, updated=time
            )

    def _outputs(self, definition: Definition) -> dict[str, Output]:
        scope = self._scope(definition)
        found = {}
        for name, body in definition.template.outputs.items():
            if "Condition" in body and not scope.condition(body["Condition"]):
                continue
            export = body.get("Export", {}).get("Name")
            found[name] = Output(
                value=str(resolve(body["Value"], scope)),
                description=body.get("Description"),
                export=None if export is None else str(resolve(export, scope)),
            )
        return found

    def _clean_up(self, definition: Definition) -> None:
        wanted = definition.template.wanted(self._scope(definition))
        gone = [r for name, r in self._stack.resources.items() if name not in wanted]
        retained = [r for r in self._stale if r.update_replace_policy == "Retain"]
        retained += [r for r in gone if r.deletion_policy.startswith("Retain")]
        for resource in gone:
            del self._stack.resources[resource.logical_id]
        doomed = [r for r in [*self._stale, *gone] if r not in retained]
        self._skip(retained)
        self._delete_all(doomed)

    # Back

    def _roll_back(self, creating: bool, reason: str) -> None:
        self._cancelled = threading.Event()
        if creating:
            self._stack.enter("ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
            self._roll_back_create()
        else:
            self._stack.enter("UPDATE_ROLLBACK_IN_PROGRESS", reason)
            self._roll_back_update()

    def _roll_back_create(self) -> None:
        stack = self._stack
        resources = list(stack.resources.values())
        retained = [r for r in resources if r.deletion_policy == "Retain"]
        self._skip(retained)
        failed = self._delete_all([r for r in resources if r not in retained])
        stack.outputs, stack.imports = {}, set()
        if failed:
            stack.enter("ROLLBACK_FAILED", _failed_reason(failed, "delete"))
        else:
            stack.enter("ROLLBACK_COMPLETE")

    def _roll_back_update(self) -> None:
        stack = self._stack
        for name, resource in self._original.items():
            if name not in self._changes:
                stack.resources[name] = resource
        undone = {
            name: change.before
            for name, change in self._changes.items()
            if change.before is not None
        }
        failures = run_graph(
            {name: set(before.dependencies) for name, before in undone.items()},
            lambda name: self._undo(undone[name], self._changes[name].after),
            stop_at_failure=False,
        )
        if failures:
            stack.enter("UPDATE_ROLLBACK_FAILED", _failed_reason(sorted(failures), "update"))
            return
        stack.enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        kept = {resource.physical_id for resource in undone.values()}
        doomed = [r for r in self._stale if r.physical_id not in kept]
        for name, change in self._changes.items():
            if change.before is None:
                stack.resources.pop(name, None)
                if change.after is not None:
                    doomed.append(change.after)
        self._delete_all(doomed)
        stack.enter("UPDATE_ROLLBACK_COMPLETE")

    def _undo(self, before: Resource, after: Resource | None) -> None:
        stack, name = self._stack, before.logical_id
        stack.tell(name, before.physical_id, before.type, "UPDATE_IN_PROGRESS")
        replaced = (
            after is None
            or before.type != after.type
            or bool(replacing(before.type, before.properties, after.properties))
        )
        if replaced:
            # The old one was not touched: its time comes only once an update has succeeded.
            if after is not None:
                self._stale.append(after)
            self._record(before, "UPDATE_COMPLETE")
            return
        assert after is not None
        provider = self._surroundings.provider(before.type)
        request = self._request(before.type, name, before.properties)
        try:
            result = provider.update(request, after.physical_id, after.properties)
        except Exception as error:
            explained = self._explain(error, "update")
            stack.resources[name] = dataclasses.replace(
                before, status="UPDATE_FAILED", reason=explained
            )
            stack.tell(name, after.physical_id, before.type, "UPDATE_FAILED", explained)
            raise
        if result.physical_id != after.physical_id:
            self._stale.append(after)
        restored = dataclasses.replace(
            before, physical_id=result.physical_id, attributes=result.attributes
        )
        self._record(restored, "UPDATE_COMPLETE")

    def cancel(self) -> None:
        """Gives up what is waited for."""
        self._cancelled.set()

    def roll_back_again(self, skip: Iterable[str] = ()) -> None:
        """Goes on with a rollback that failed, or begins the one that was not wanted at once.

        Args:
            skip: Logical ids to leave as they are.
        """
        for name in skip:
            self._changes.pop(name, None)
        creating = self._stack.status in {"CREATE_FAILED", "ROLLBACK_FAILED"}
        self._roll_back(creating, "User Initiated")

    # Away

    def delete(self, retain: Iterable[str] = ()) -> None:
        """Deletes every resource, then the stack.

        Args:
            retain: Logical ids to leave alone.
        """
        stack = self._stack
        resources = list(stack.resources.values())
        kept = [
            r
            for r in resources
            if r.deletion_policy.startswith("Retain") or r.logical_id in set(retain)
        ]
        self._skip(kept)
        for resource in kept:
            del stack.resources[resource.logical_id]
        failed = self._delete_all([r for r in resources if r not in kept])
        if failed:
            stack.enter("DELETE_FAILED", _failed_reason(failed, "delete"))
            return
        stack.outputs, stack.imports = {}, set()
        stack.deleted = stack.now()
        stack.enter("DELETE_COMPLETE")

    def _skip(self, retained: list[Resource]) -> None:
        for resource in retained:
            self._stack.tell(
                resource.logical_id, resource.physical_id, resource.type, "DELETE_SKIPPED"
            )

    def _delete_all(self, doomed: list[Resource]) -> list[str]:
        """Deletes what depends on others before the others; returns whose deletion failed."""
        by_key = {(r.logical_id, r.physical_id): r for r in doomed}
        dependents = {
            key: {
                other
                for other, resource in by_key.items()
                if key[0] in resource.dependencies and other[0] != key[0]
            }
            for key in by_key
        }
        failures = run_graph(
            dependents, lambda key: self._delete(by_key[key]), stop_at_failure=False
        )
        return sorted({logical_id for logical_id, _ in failures})

    def _delete(self, resource: Resource) -> None:
        stack, name, physical_id = self._stack, resource.logical_id, resource.physical_id
        stack.tell(name, physical_id, resource.type, "DELETE_IN_PROGRESS")
        request = self._request(resource.type, name, resource.properties)
        try:
            self._surroundings.provider(resource.type).delete(request, physical_id)
        except Exception as error:
            explained = self._explain(error, "deletion")
            stack.tell(name, physical_id, resource.type, "DELETE_FAILED", explained)
            with stack.lock:
                if stack.resources.get(name) is resource:
                    stack.resources[name] = dataclasses.replace(
                        resource, status="DELETE_FAILED", reason=explained
                    )
            raise
        stack.tell(name, physical_id, resource.type, "DELETE_COMPLETE")
        with stack.lock:
            if stack.resources.get(name) is resource:
                del stack.resources[name]


def _failed_reason(failed: list[str], verb: str) -> str:
    return f"The following resource(s) failed to {verb}: [{', '.join(failed)}]. "
