"""The operations of the CloudFormation API, one function each."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from local_aws.cloudformation import describe
from local_aws.cloudformation.changes import preview
from local_aws.cloudformation.engine import Operation
from local_aws.cloudformation.errors import ApiError
from local_aws.cloudformation.functions import UNKNOWN
from local_aws.cloudformation.model import ChangeSet, Definition, Resource, Stack
from local_aws.cloudformation.stacks import Stacks
from local_aws.cloudformation.template import Template
from local_aws.context import Context

Answer = dict[str, Any]

# The CDK CLI asks every 5 seconds. An operation that is over when its start is answered, or
# when its state is, costs nobody such a pause.
_PATIENCE_AT_START = 4.0
_PATIENCE_WHEN_ASKED = 20.0
_PAGE = 100
_NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


@dataclass(frozen=True)
class Caller:
    """Who asks: the region it signed for and the name of its program."""

    region: str
    agent: str

    @property
    def is_cdk(self) -> bool:
        """Whether it is the CDK CLI, which looks at stacks only to wait for them."""
        return "aws-cdk" in self.agent


class Operations:
    """What the operations share: the stacks, and the work under way on them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.stacks = Stacks(context)
        self._operations: dict[str, Operation] = {}
        self._running: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Gives up what is under way; nothing is waited for."""
        for operation in list(self._operations.values()):
            operation.cancel()

    def find(self, caller: Caller, name: str) -> Stack:
        """The stack, or AWS's refusal."""
        stack = self.stacks.find(caller.region, name)
        if stack is None:
            raise ApiError(f"Stack with id {name} does not exist")
        return stack

    def find_change_set(self, caller: Caller, request: Answer) -> tuple[Stack, ChangeSet]:
        """The change set and its stack, or AWS's refusal."""
        name = request["ChangeSetName"]
        named = request.get("StackName")
        candidates = [self.find(caller, named)] if named else self.stacks.all(caller.region)
        for stack in candidates:
            for change_set in stack.change_sets.values():
                if name in {change_set.name, change_set.id}:
                    return stack, change_set
        raise ApiError(f"ChangeSet [{name}] does not exist", "ChangeSetNotFound", 404)

    def begin(self, stack: Stack, status: str, work: Callable[[Operation], None]) -> None:
        """Starts `work` on the stack and waits for its end a little while.

        Raises:
            ApiError: Something else is under way on the stack.
        """
        with self._lock:
            if stack.in_progress:
                raise ApiError(
                    f"Stack:{stack.id} is in {stack.status} state and can not be updated."
                )
            operation = Operation(self.context, self.stacks, stack)
            stack.operation = str(uuid.uuid4())
            if status == "ROLLBACK":
                operation = self._operations.get(stack.id, operation)
            else:
                stack.enter(status, "User Initiated")
            self._operations[stack.id] = operation
            thread = threading.Thread(
                target=work, args=(operation,), name=f"stack-{stack.name}", daemon=True
            )
            self._running[stack.id] = thread
            thread.start()
        thread.join(_PATIENCE_AT_START)

    def wait(self, stack: Stack) -> None:
        """Waits a while for what is under way on the stack."""
        thread = self._running.get(stack.id)
        if thread is not None:
            thread.join(_PATIENCE_WHEN_ASKED)

    def definition(self, caller: Caller, request: Answer, stack: Stack | None) -> Definition:
        """What a request asks a stack to be.

        Raises:
            ApiError: It cannot be deployed here.
        """
        before = stack.definition if stack is not None else None
        if request.get("UsePreviousTemplate") and before is not None:
            template = before.template
        else:
            template = Template(self.template_text(caller, request))
        unknown = sorted(t for t in template.resource_types if not self._has_provider(t))
        if unknown:
            raise ApiError(
                f"Template format error: Unrecognized resource types: [{', '.join(unknown)}] "
                "(the local AWS does not have them)"
            )
        parameters = {}
        for parameter in request.get("Parameters", []):
            name = parameter["ParameterKey"]
            if not parameter.get("UsePreviousValue"):
                parameters[name] = parameter.get("ParameterValue", "")
            elif before is not None and name in before.parameters:
                parameters[name] = before.parameters[name]
        if "Tags" in request or before is None:
            tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        else:
            tags = before.tags
        values = template.fill_in(
            parameters, lambda name: self.stacks.ssm_parameter(caller.region, name)
        )
        return Definition(template, parameters, values, tags)

    def template_text(self, caller: Caller, request: Answer) -> str:
        """The template that a request carries or points to."""
        if "TemplateBody" in request:
            return str(request["TemplateBody"])
        if "TemplateURL" not in request:
            raise ApiError("Either Template URL or Template Body must be specified.")
        url = urlsplit(request["TemplateURL"])
        bucket, _, rest = (url.hostname or "").partition(".s3")
        path = unquote(url.path).lstrip("/")
        if not rest:
            bucket, _, path = path.partition("/")
        found = self.context.client("s3", caller.region).get_object(Bucket=bucket, Key=path)
        return str(found["Body"].read().decode())

    def _has_provider(self, resource_type: str) -> bool:
        try:
            self.stacks.provider(resource_type)
        except KeyError:
            return False
        return True

    def propose(self, caller: Caller, request: Answer) -> tuple[Stack, ChangeSet]:
        """A change set that is checked and not yet stored."""
        name, kind = request["StackName"], request.get("ChangeSetType", "UPDATE")
        stack = self.stacks.find(caller.region, name)
        fresh = stack is None or stack.status == "REVIEW_IN_PROGRESS"
        if kind == "IMPORT":
            raise ApiError("The local AWS cannot import resources")
        if kind == "CREATE" and not fresh:
            raise ApiError(
                f"Stack [{name}] already exists and cannot be created again with "
                f"the changeSet [{request['ChangeSetName']}]."
            )
        if kind == "UPDATE" and fresh:
            raise ApiError(f"Stack [{name}] does not exist")
        if stack is not None and (
            stack.in_progress
            or stack.status
            in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}
        ):
            raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        definition = self.definition(caller, request, stack)
        if stack is None:
            stack = self._new_stack(caller, name)
        scope = self.stacks.scope(stack, definition, lambda _: UNKNOWN, lambda _, __: UNKNOWN)
        definition.template.check_rules(scope)
        imports = set(stack.imports)
        changes = self._preview(stack, definition)
        stack.imports = imports  # looking ahead imports nothing
        nothing = not changes and not fresh and _same_rest(stack, definition)
        change_set = ChangeSet(
            id=self._arn(caller.region, "changeSet", request["ChangeSetName"]),
            name=request["ChangeSetName"],
            type=kind,
            definition=definition,
            description=request.get("Description"),
            changes=changes,
            status="FAILED" if nothing else "CREATE_COMPLETE",
            execution_status="UNAVAILABLE" if nothing else "AVAILABLE",
            reason=_NO_CHANGES if nothing else None,
            created=datetime.now(UTC),
        )
        return stack, change_set

    def _preview(self, stack: Stack, definition: Definition) -> list[dict[str, Any]]:
        whole = self.stacks.scope(stack, definition, lambda _: UNKNOWN, lambda _, __: UNKNOWN)
        return preview(
            stack,
            definition.template.wanted(whole),
            lambda ref, get_att: self.stacks.scope(stack, definition, ref, get_att),
            definition.tags,
            lambda resource_type: self.stacks.provider(resource_type).tags,
        )

    def _new_stack(self, caller: Caller, name: str) -> Stack:
        return Stack(
            id=self._arn(caller.region, "stack", name),
            name=name,
            region=caller.region,
            created=datetime.now(UTC),
            status="REVIEW_IN_PROGRESS",
        )

    def _arn(self, region: str, kind: str, name: str) -> str:
        account = self.context.account_id
        return f"arn:aws:cloudformation:{region}:{account}:{kind}/{name}/{uuid.uuid4()}"

    def execute(self, stack: Stack, change_set: ChangeSet) -> None:
        """Brings about what the change set proposes."""
        creating = stack.status == "REVIEW_IN_PROGRESS"
        stack.rollback = change_set.rollback
        if creating:
            # A stack that fails to come about is described by what was asked all the same.
            stack.definition = change_set.definition
        else:
            stack.updated = stack.now()
        stack.change_sets.clear()
        self.begin(
            stack,
            "CREATE_IN_PROGRESS" if creating else "UPDATE_IN_PROGRESS",
            lambda operation: operation.deploy(change_set.definition),
        )


def _same_rest(stack: Stack, definition: Definition) -> bool:
    """Whether what no resource shows is as it was."""
    before = stack.definition
    if before is None:
        return False
    old, new = before.template.body, definition.template.body
    metadata = [
        {name: body.get("Metadata") for name, body in template.get("Resources", {}).items()}
        for template in (old, new)
    ]
    return (
        old.get("Outputs") == new.get("Outputs")
        and old.get("Description") == new.get("Description")
        and metadata[0] == metadata[1]
        and before.tags == definition.tags
        and before.values == definition.values
    )


def _create_change_set(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack, change_set = state.propose(caller, request)
    if any(item.name == change_set.name for item in stack.change_sets.values()):
        raise ApiError(f"ChangeSet {change_set.name} already exists", "AlreadyExistsException")
    if not stack.events:
        state.stacks.add(stack)
        stack.enter("REVIEW_IN_PROGRESS", "User Initiated")
    stack.role_arn = request.get("RoleARN", stack.role_arn)
    change_set.rollback = request.get("OnStackFailure", "ROLLBACK") != "DO_NOTHING"
    stack.change_sets[change_set.id] = change_set
    return {"Id": change_set.id, "StackId": stack.id}


def _describe_change_set(state: Operations, caller: Caller, request: Answer) -> Answer:
    return describe.describe_change_set(*state.find_change_set(caller, request))


def _list_change_sets(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    found = [describe.summarize_change_set(stack, item) for item in stack.change_sets.values()]
    return {"Summaries": found}


def _delete_change_set(state: Operations, caller: Caller, request: Answer) -> Answer:
    try:
        stack, change_set = state.find_change_set(caller, request)
    except ApiError as error:
        if error.code == "ChangeSetNotFound":
            return {}
        raise
    del stack.change_sets[change_set.id]
    return {}


def _execute_change_set(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack, change_set = state.find_change_set(caller, request)
    if change_set.execution_status != "AVAILABLE":
        raise ApiError(
            f"ChangeSet [{change_set.id}] cannot be executed in its current status of "
            f"[{change_set.status}]",
            "InvalidChangeSetStatus",
        )
    change_set.rollback = change_set.rollback and not request.get("DisableRollback", False)
    state.execute(stack, change_set)
    return {}


def _create_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    if state.stacks.find(caller.region, request["StackName"]):
        raise ApiError(f"Stack [{request['StackName']}] already exists", "AlreadyExistsException")
    asked = {**request, "ChangeSetName": "create", "ChangeSetType": "CREATE"}
    stack, change_set = state.propose(caller, asked)
    state.stacks.add(stack)
    change_set.rollback = not request.get("DisableRollback", False)
    state.execute(stack, change_set)
    return {"StackId": stack.id}


def _update_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack, change_set = state.propose(
        caller, {**request, "ChangeSetName": "update", "ChangeSetType": "UPDATE"}
    )
    if change_set.status == "FAILED":
        raise ApiError("No updates are to be performed.")
    change_set.rollback = not request.get("DisableRollback", False)
    state.execute(stack, change_set)
    return {"StackId": stack.id}


def _describe_stacks(state: Operations, caller: Caller, request: Answer) -> Answer:
    if "StackName" not in request:
        live = [s for s in state.stacks.all(caller.region) if s.status != "DELETE_COMPLETE"]
        return {"Stacks": [describe.describe_stack(stack) for stack in live]}
    stack = state.find(caller, request["StackName"])
    if caller.is_cdk and stack.in_progress:
        state.wait(stack)
    return {"Stacks": [describe.describe_stack(stack)]}


def _list_stacks(state: Operations, caller: Caller, request: Answer) -> Answer:
    wanted = request.get("StackStatusFilter")
    found = [s for s in state.stacks.all(caller.region) if not wanted or s.status in wanted]
    return {"StackSummaries": [describe.summarize_stack(stack) for stack in found]}


def _describe_stack_events(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    # Newest first. The token counts from the oldest, so that new events shift no page.
    end = int(request.get("NextToken", len(stack.events)))
    start = max(0, end - _PAGE)
    page = stack.events[start:end][::-1]
    return {
        "StackEvents": [describe.describe_event(stack, event) for event in page],
        "NextToken": str(start) if start else None,
    }


def _resources(state: Operations, caller: Caller, request: Answer) -> list[Answer]:
    if "StackName" in request:
        stacks = [state.find(caller, request["StackName"])]
    else:
        stacks = state.stacks.all(caller.region)
    wanted_id, wanted_name = request.get("PhysicalResourceId"), request.get("LogicalResourceId")

    def asked(resource: Resource) -> bool:
        return (wanted_id is None or resource.physical_id == wanted_id) and (
            wanted_name is None or resource.logical_id == wanted_name
        )

    return [
        describe.describe_resource(stack, resource)
        for stack in stacks
        for resource in list(stack.resources.values())
        if asked(resource)
    ]


def _describe_stack_resources(state: Operations, caller: Caller, request: Answer) -> Answer:
    return {"StackResources": _resources(state, caller, request)}


def _list_stack_resources(state: Operations, caller: Caller, request: Answer) -> Answer:
    return {"StackResourceSummaries": _resources(state, caller, request)}


def _describe_stack_resource(state: Operations, caller: Caller, request: Answer) -> Answer:
    found = _resources(state, caller, request)
    if not found:
        name, stack = request["LogicalResourceId"], request["StackName"]
        raise ApiError(f"Resource {name} does not exist for stack {stack}")
    return {"StackResourceDetail": found[0]}


def _get_template(state: Operations, caller: Caller, request: Answer) -> Answer:
    if "ChangeSetName" in request:
        _, change_set = state.find_change_set(caller, request)
        text = change_set.definition.template.text
    else:
        stack = state.find(caller, request["StackName"])
        text = stack.definition.template.text if stack.definition else "{}"
    return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}


def _get_template_summary(state: Operations, caller: Caller, request: Answer) -> Answer:
    if "StackName" in request:
        definition = state.find(caller, request["StackName"]).definition
        if definition is None:
            raise ApiError("The stack has no template yet")
        template = definition.template
    else:
        template = Template(state.template_text(caller, request))
    return {
        "Description": template.body.get("Description"),
        "Parameters": [
            {
                "ParameterKey": name,
                "DefaultValue": parameter.get("Default"),
                "ParameterType": parameter.get("Type"),
                "Description": parameter.get("Description"),
            }
            for name, parameter in template.parameters.items()
        ],
        "ResourceTypes": sorted(template.resource_types),
        "ResourceIdentifierSummaries": [],
    }


def _list_exports(state: Operations, caller: Caller, request: Answer) -> Answer:
    del request
    return {
        "Exports": [
            {"ExportingStackId": stack.id, "Name": name, "Value": output.value}
            for name, output, stack in state.stacks.exports(caller.region)
        ]
    }


def _list_imports(state: Operations, caller: Caller, request: Answer) -> Answer:
    name = request["ExportName"]
    users = state.stacks.importers(caller.region, name)
    if not users:
        raise ApiError(f"Export '{name}' is not imported by any stack.")
    return {"Imports": users}


def _delete_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.stacks.find(caller.region, request["StackName"])
    if stack is None or stack.status == "DELETE_COMPLETE":
        return {}
    if stack.termination_protection:
        raise ApiError(
            f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        )
    for export, _, owner in state.stacks.exports(caller.region):
        users = state.stacks.importers(caller.region, export)
        if owner is stack and users:
            stack.enter(
                stack.status,
                f"Delete canceled. Cannot delete export {export} as it is in use by "
                f"{', '.join(users)}.",
            )
            return {}
    stack.change_sets.clear()
    retain = request.get("RetainResources", [])
    state.begin(stack, "DELETE_IN_PROGRESS", lambda operation: operation.delete(retain))
    return {}


def _roll_back_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    if stack.status not in {"CREATE_FAILED", "UPDATE_FAILED"}:
        raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    state.begin(stack, "ROLLBACK", lambda operation: operation.roll_back_again())
    return {"StackId": stack.id}


def _continue_update_rollback(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    skip = request.get("ResourcesToSkip", [])
    state.begin(stack, "ROLLBACK", lambda operation: operation.roll_back_again(skip))
    return {}


def _update_termination_protection(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    stack.termination_protection = request["EnableTerminationProtection"]
    return {"StackId": stack.id}


def _validate_template(state: Operations, caller: Caller, request: Answer) -> Answer:
    template = Template(state.template_text(caller, request))
    return {"Description": template.body.get("Description"), "Parameters": []}


OPERATIONS: dict[str, Callable[[Operations, Caller, Answer], Answer]] = {
    "ContinueUpdateRollback": _continue_update_rollback,
    "CreateChangeSet": _create_change_set,
    "CreateStack": _create_stack,
    "DeleteChangeSet": _delete_change_set,
    "DeleteStack": _delete_stack,
    "DescribeChangeSet": _describe_change_set,
    # Early validation finds nothing here.
    "DescribeEvents": lambda _state, _caller, _request: {"OperationEvents": []},
    "DescribeStackEvents": _describe_stack_events,
    "DescribeStackResource": _describe_stack_resource,
    "DescribeStackResources": _describe_stack_resources,
    "DescribeStacks": _describe_stacks,
    "ExecuteChangeSet": _execute_change_set,
    "GetTemplate": _get_template,
    "GetTemplateSummary": _get_template_summary,
    "ListChangeSets": _list_change_sets,
    "ListExports": _list_exports,
    "ListImports": _list_imports,
    "ListStackResources": _list_stack_resources,
    "ListStacks": _list_stacks,
    "RollbackStack": _roll_back_stack,
    "UpdateStack": _update_stack,
    "UpdateTerminationProtection": _update_termination_protection,
    "ValidateTemplate": _validate_template,
}
