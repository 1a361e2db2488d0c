"""Creates, changes and deletes single resources and records that in the stack's events."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Hashable, Mapping, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TypeVar

from botocore.exceptions import ClientError

from local_aws.cloudformation.changes import is_custom, replacing, with_stack_tags
from local_aws.cloudformation.functions import Scope, Value, resolve
from local_aws.cloudformation.model import Definition, Resource, Stack, random_suffix
from local_aws.cloudformation.resources.base import (
    CancelledError,
    Provider,
    Request,
    ResourceError,
    Result,
)
from local_aws.cloudformation.schemas import violations
from local_aws.cloudformation.stacks import Stacks
from local_aws.cloudformation.template import Wanted
from local_aws.context import Context
from local_aws.service_errors import ApiError

logger = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

# The work is mostly waiting for answers.
_THREADS = 16
NO_EFFECT = "Accepted without effect on the local AWS"


def run_graph(
    dependencies: Mapping[Key, Set[Key]],
    work: Callable[[Key], None],
    *,
    stop_at_failure: bool,
    on_failure: Callable[[], None] = lambda: None,
) -> dict[Key, Exception]:
    """Calls `work` once for each key, after all that the key depends on.

    Args:
        dependencies: The keys that must be done first, by key. Keys that are not in the mapping
            count as done. Without cycles.
        work: Called in several threads.
        stop_at_failure: Whether nothing else starts after a failure. If not, only keys that
            depend on the failed one are skipped.
        on_failure: Called in the calling thread after each failure.

    Returns:
        The exceptions of the keys that failed. Skipped keys are not in it.
    """
    order = TopologicalSorter(
        {key: needs & dependencies.keys() for key, needs in dependencies.items()}
    )
    order.prepare()
    running: dict[Future[None], Key] = {}
    failures: dict[Key, Exception] = {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="cloudformation") as pool:
        while True:
            if not (failures and stop_at_failure):
                running |= {pool.submit(work, key): key for key in order.get_ready()}
            if not running:
                return failures
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                error = future.exception()
                if error is None:
                    order.done(key)
                elif isinstance(error, Exception):
                    failures[key] = error
                    on_failure()
                else:
                    raise error


def _check_properties(resource_type: str, logical_id: str, properties: dict[str, Value]) -> None:
    """Raises ResourceError where the type's schema does not allow them."""
    if not is_custom(resource_type) and (found := violations(resource_type, properties)):
        listed = "\n".join(found)
        raise ResourceError(
            f"Properties validation failed for resource {logical_id} with message:\n{listed}"
        )


@dataclass(frozen=True)
class Change:
    """What an update did to one resource; `after` is None if its creation failed."""

    before: Resource | None
    after: Resource | None


class ResourceWork:
    """The work on a stack's resources within one operation.

    Args:
        stack: Nothing else may work on it meanwhile.

    Attributes:
        changes: The changes made so far, by logical id.
        stale: Resources that were replaced and have to be deleted at the end.
        cancelled: Set once waiting is pointless.
    """

    def __init__(self, context: Context, stacks: Stacks, stack: Stack) -> None:
        self.changes: dict[str, Change] = {}
        self.stale: list[Resource] = []
        self.cancelled = threading.Event()
        self._context = context
        self._stacks = stacks
        self._stack = stack

    def scope(self, definition: Definition) -> Scope:
        """What the names in the stack's template currently stand for."""
        return self._stacks.scope(self._stack, definition, self._ref, self._get_att)

    def _ref(self, name: str) -> Value:
        if name not in self._stack.resources:
            raise ApiError(f"Template format error: Unresolved resource dependencies [{name}]")
        return self._stack.resources[name].physical_id

    def _get_att(self, name: str, attribute: str) -> Value:
        resource = self._stack.resources.get(name)
        if resource is None:
            raise ApiError(f"Template error: Fn::GetAtt references {name}, which does not exist")
        if attribute not in resource.attributes:
            if is_custom(resource.type):
                raise ApiError(
                    f"CustomResource attribute error: Vendor response doesn't contain {attribute} "
                    f"attribute in object {resource.physical_id}"
                )
            raise ApiError(
                f"Template error: resource {name} does not support attribute type {attribute} "
                "in Fn::GetAtt"
            )
        return resource.attributes[attribute]

    def apply(self, item: Wanted, definition: Definition) -> None:
        """Creates, updates or replaces the resource, or leaves it alone, as needed."""
        provider = self._stacks.provider(item.type)
        before = self._stack.resources.get(item.logical_id)
        try:
            properties = resolve(item.properties, self.scope(definition))
        except ApiError as error:
            # Nothing was started, so there is nothing to undo.
            verb = "CREATE" if before is None else "UPDATE"
            self._stack.add_event(item.logical_id, "", item.type, f"{verb}_FAILED", error.message)
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
            self._update(item, properties, before)
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
        elif provider.is_idle(properties) and item.type != "AWS::CDK::Metadata":
            reason = NO_EFFECT
        stack.add_event(name, "", item.type, f"{verb}_IN_PROGRESS", reason)
        try:
            _check_properties(item.type, name, properties)
            result = provider.create(self._request(item.type, name, properties))
        except Exception as error:
            explained = self._explain(error, "creation" if before is None else "update")
            made = error.physical_id if isinstance(error, ResourceError) else None
            after = None
            if made is not None:
                after = self._resource(
                    item, properties, made, {}, status=f"{verb}_FAILED", reason=explained
                )
            self.changes[name] = Change(before, after)
            if before is None and after is not None:
                stack.resources[name] = after
            stack.add_event(name, made or "", item.type, f"{verb}_FAILED", explained)
            raise
        stack.add_event(
            name,
            result.physical_id,
            item.type,
            f"{verb}_IN_PROGRESS",
            "Resource creation Initiated",
        )
        after = self._resource(item, properties, result.physical_id, result.attributes)
        self._record(after, f"{verb}_COMPLETE")
        self.changes[name] = Change(before, after)
        if before is not None:
            self.stale.append(before)

    def _update(self, item: Wanted, properties: dict[str, Value], before: Resource) -> None:
        stack, name = self._stack, item.logical_id
        stack.add_event(name, before.physical_id, item.type, "UPDATE_IN_PROGRESS")
        self.changes[name] = Change(
            before, self._resource(item, properties, before.physical_id, before.attributes)
        )
        result = self._change(self._request(item.type, name, properties, before), before)
        after = self._resource(item, properties, result.physical_id, result.attributes)
        if result.physical_id != before.physical_id:
            stack.add_event(
                name,
                result.physical_id,
                item.type,
                "UPDATE_IN_PROGRESS",
                "Requested update required the provider to create a new physical resource",
            )
            self.stale.append(before)
        self.changes[name] = Change(before, after)
        self._record(after, "UPDATE_COMPLETE")

    def _change(self, request: Request, before: Resource) -> Result:
        """Has the provider change a resource in place; records `before` as failed if it cannot."""
        stack, name, physical_id = self._stack, request.logical_id, request.physical_id
        try:
            _check_properties(request.type, name, request.properties)
            result = self._stacks.provider(request.type).update(request)
        except Exception as error:
            reason = self._explain(error, "update")
            stack.resources[name] = dataclasses.replace(
                before, status="UPDATE_FAILED", reason=reason
            )
            stack.add_event(name, physical_id, request.type, "UPDATE_FAILED", reason)
            raise
        return result or Result(physical_id, before.attributes)

    def undo(self, before: Resource, after: Resource | None) -> None:
        """Restores one resource to its previous state."""
        stack, name = self._stack, before.logical_id
        stack.add_event(name, before.physical_id, before.type, "UPDATE_IN_PROGRESS")
        replaced = (
            after is None
            or before.type != after.type
            or bool(replacing(before.type, before.properties, after.properties))
        )
        if replaced:
            # The old one still exists: replaced resources are deleted after successful updates.
            if after is not None:
                self.stale.append(after)
            self._record(before, "UPDATE_COMPLETE")
            return
        assert after is not None
        result = self._change(self._request(before.type, name, before.properties, after), before)
        if result.physical_id != after.physical_id:
            self.stale.append(after)
        restored = dataclasses.replace(
            before, physical_id=result.physical_id, attributes=result.attributes
        )
        self._record(restored, "UPDATE_COMPLETE")

    def skip(self, retained: list[Resource]) -> None:
        """Records that these are kept although they leave the stack."""
        for resource in retained:
            self._stack.add_event(
                resource.logical_id, resource.physical_id, resource.type, "DELETE_SKIPPED"
            )

    def delete_all(self, doomed: list[Resource]) -> list[str]:
        """Deletes resources before those they depend on; returns the ids of failed deletions."""
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
        stack.add_event(name, physical_id, resource.type, "DELETE_IN_PROGRESS")
        request = self._request(resource.type, name, resource.properties, resource)
        try:
            self._stacks.provider(resource.type).delete(request)
        except Exception as error:
            explained = self._explain(error, "deletion")
            stack.add_event(name, physical_id, resource.type, "DELETE_FAILED", explained)
            with stack.lock:
                if stack.resources.get(name) is resource:
                    stack.resources[name] = dataclasses.replace(
                        resource, status="DELETE_FAILED", reason=explained
                    )
            raise
        stack.add_event(name, physical_id, resource.type, "DELETE_COMPLETE")
        with stack.lock:
            if stack.resources.get(name) is resource:
                del stack.resources[name]

    def _explain(self, error: Exception, doing: str) -> str:
        if isinstance(error, CancelledError):
            return f"Resource {doing} cancelled"
        if isinstance(error, ResourceError):
            return error.reason
        if isinstance(error, ClientError):
            answer = error.response["Error"]
            return f"{answer['Message']} ({error.operation_name}: {answer['Code']})"
        logger.exception("A resource of %s failed unexpectedly", self._stack.name)
        return f"{type(error).__name__}: {error}"

    def _request(
        self,
        resource_type: str,
        logical_id: str,
        properties: dict[str, Value],
        now: Resource | None = None,
    ) -> Request:
        return Request(
            context=self._context,
            key=self._stack.acts_with,
            region=self._stack.region,
            stack_id=self._stack.id,
            stack_name=self._stack.name,
            logical_id=logical_id,
            type=resource_type,
            properties=properties,
            token=random_suffix(),
            cancelled=self.cancelled,
            physical_id=now.physical_id if now else "",
            old=now.properties if now else {},
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
        """Stores `resource`; without an event if it is `updated` unchanged."""
        stack = self._stack
        with stack.lock:
            if updated is None:
                time = stack.add_event(
                    resource.logical_id, resource.physical_id, resource.type, status
                )
            else:
                time = updated.updated
            stack.resources[resource.logical_id] = dataclasses.replace(
                resource, status=status, updated=time
            )
