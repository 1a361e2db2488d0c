"""Changes a stack to match a definition, or rolls it back."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from local_aws.cloudformation.functions import resolve
from local_aws.cloudformation.model import Definition, Output, Stack
from local_aws.cloudformation.resource_work import ResourceWork, run_graph
from local_aws.cloudformation.resources.base import ResourceError
from local_aws.cloudformation.stacks import Stacks
from local_aws.context import Context
from local_aws.service_errors import ApiError


class Operation:
    """One create, update, rollback or delete of a stack.

    Args:
        stack: Nothing else may work on it meanwhile.
    """

    def __init__(self, context: Context, stacks: Stacks, stack: Stack) -> None:
        self._stacks = stacks
        self._stack = stack
        self._work = ResourceWork(context, stacks, stack)
        # A failed update rolls back to these.
        self._original = dict(stack.resources)

    def deploy(self, definition: Definition) -> None:
        """Creates or updates the stack, and rolls back on failure."""
        stack = self._stack
        creating = stack.status == "CREATE_IN_PROGRESS"
        old_imports, stack.imports = stack.imports, set()
        try:
            failed = self._apply(definition)
            outputs = {} if failed else self._outputs(definition)
            if not failed:
                self._stacks.check_exports(stack, outputs)
            added = [name for name in failed if name not in self._original]
            changed = [name for name in failed if name in self._original]
            reason = _failed_reason(added, "create") + _failed_reason(changed, "update")
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

    def _apply(self, definition: Definition) -> list[str]:
        wanted = definition.template.wanted(self._work.scope(definition))
        failures = run_graph(
            {name: item.dependencies for name, item in wanted.items()},
            lambda name: self._work.apply(wanted[name], definition),
            stop_at_failure=True,
            on_failure=self._work.cancelled.set,
        )
        return sorted(failures)

    def _outputs(self, definition: Definition) -> dict[str, Output]:
        scope = self._work.scope(definition)
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
        wanted = definition.template.wanted(self._work.scope(definition))
        gone = [r for name, r in self._stack.resources.items() if name not in wanted]
        retained = [r for r in self._work.stale if r.update_replace_policy == "Retain"]
        retained += [r for r in gone if r.deletion_policy.startswith("Retain")]
        for resource in gone:
            del self._stack.resources[resource.logical_id]
        doomed = [r for r in [*self._work.stale, *gone] if r not in retained]
        self._work.skip(retained)
        self._work.delete_all(doomed)

    def _roll_back(self, creating: bool, reason: str) -> None:
        self._work.cancelled = threading.Event()
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
        self._work.skip(retained)
        failed = self._work.delete_all([r for r in resources if r not in retained])
        stack.outputs, stack.imports = {}, set()
        if failed:
            stack.enter("ROLLBACK_FAILED", _failed_reason(failed, "delete"))
        else:
            stack.enter("ROLLBACK_COMPLETE")

    def _roll_back_update(self) -> None:
        stack = self._stack
        for name, resource in self._original.items():
            if name not in self._work.changes:
                stack.resources[name] = resource
        undone = {
            name: change.before
            for name, change in self._work.changes.items()
            if change.before is not None
        }
        failures = run_graph(
            {name: before.dependencies for name, before in undone.items()},
            lambda name: self._work.undo(undone[name], self._work.changes[name].after),
            stop_at_failure=False,
        )
        if failures:
            stack.enter("UPDATE_ROLLBACK_FAILED", _failed_reason(sorted(failures), "update"))
            return
        stack.enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        kept = {resource.physical_id for resource in undone.values()}
        doomed = [r for r in self._work.stale if r.physical_id not in kept]
        for name, change in self._work.changes.items():
            if change.before is None:
                stack.resources.pop(name, None)
                if change.after is not None:
                    doomed.append(change.after)
        self._work.delete_all(doomed)
        stack.enter("UPDATE_ROLLBACK_COMPLETE")

    def cancel(self) -> None:
        """Stops waiting for resources."""
        self._work.cancelled.set()

    def roll_back_again(self, skip: Iterable[str] = ()) -> None:
        """Continues a failed rollback, or starts one that was disabled before.

        Args:
            skip: Logical ids to leave alone.
        """
        for name in skip:
            self._work.changes.pop(name, None)
        creating = self._stack.status in {"CREATE_FAILED", "ROLLBACK_FAILED"}
        self._roll_back(creating, "User Initiated")

    def delete(self, retain: Iterable[str] = ()) -> None:
        """Deletes all resources, then the stack.

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
        self._work.skip(kept)
        for resource in kept:
            del stack.resources[resource.logical_id]
        failed = self._work.delete_all([r for r in resources if r not in kept])
        if failed:
            stack.enter("DELETE_FAILED", _failed_reason(failed, "delete"))
            return
        stack.outputs, stack.imports = {}, set()
        stack.deleted = stack.now()
        stack.enter("DELETE_COMPLETE")


def _failed_reason(failed: list[str], verb: str) -> str:
    if not failed:
        return ""
    return f"The following resource(s) failed to {verb}: [{', '.join(failed)}]. "
