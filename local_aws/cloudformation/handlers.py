"""The operations of the CloudFormation API, one function each."""

from __future__ import annotations

from collections.abc import Callable

from local_aws.cloudformation import describe
from local_aws.cloudformation.model import Resource
from local_aws.cloudformation.operations import Answer, Caller, Operations
from local_aws.cloudformation.template import Template
from local_aws.service_errors import ApiError

# Events in an answer. The CDK asks every two seconds, for a few new ones as a rule.
_PAGE, _PAGE_OF_CDK = 100, 25


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
    state.execute(caller, stack, change_set)
    return {}


def _create_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    if state.stacks.find(caller.region, request["StackName"]):
        raise ApiError(f"Stack [{request['StackName']}] already exists", "AlreadyExistsException")
    asked = {**request, "ChangeSetName": "create", "ChangeSetType": "CREATE"}
    stack, change_set = state.propose(caller, asked)
    state.stacks.add(stack)
    stack.role_arn = request.get("RoleARN", stack.role_arn)
    change_set.rollback = not request.get("DisableRollback", False)
    state.execute(caller, stack, change_set)
    return {"StackId": stack.id}


def _update_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack, change_set = state.propose(
        caller, {**request, "ChangeSetName": "update", "ChangeSetType": "UPDATE"}
    )
    if change_set.status == "FAILED":
        raise ApiError("No updates are to be performed.")
    stack.role_arn = request.get("RoleARN", stack.role_arn)
    change_set.rollback = not request.get("DisableRollback", False)
    state.execute(caller, stack, change_set)
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
    # Newest first. The token counts from the oldest event, so that new ones shift no page.
    end = int(request.get("NextToken", len(stack.events)))
    start = max(0, end - (_PAGE_OF_CDK if caller.is_cdk else _PAGE))
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
    stack.role_arn = request.get("RoleARN", stack.role_arn)
    retain = request.get("RetainResources", [])
    state.begin(caller, stack, "DELETE_IN_PROGRESS", lambda operation: operation.delete(retain))
    return {}


def _roll_back_stack(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    if stack.status not in {"CREATE_FAILED", "UPDATE_FAILED"}:
        raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    state.begin(caller, stack, "ROLLBACK", lambda operation: operation.roll_back_again())
    return {"StackId": stack.id}


def _continue_update_rollback(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    skip = request.get("ResourcesToSkip", [])
    state.begin(caller, stack, "ROLLBACK", lambda operation: operation.roll_back_again(skip))
    return {}


def _update_termination_protection(state: Operations, caller: Caller, request: Answer) -> Answer:
    stack = state.find(caller, request["StackName"])
    stack.termination_protection = request["EnableTerminationProtection"]
    return {"StackId": stack.id}


OPERATIONS: dict[str, Callable[[Operations, Caller, Answer], Answer]] = {
    "ContinueUpdateRollback": _continue_update_rollback,
    "CreateChangeSet": _create_change_set,
    "CreateStack": _create_stack,
    "DeleteChangeSet": _delete_change_set,
    "DeleteStack": _delete_stack,
    "DescribeChangeSet": lambda state, caller, request: describe.describe_change_set(
        *state.find_change_set(caller, request)
    ),
    # The events of early validation, which does not exist here.
    "DescribeEvents": lambda _state, _caller, _request: {"OperationEvents": []},
    "DescribeStackEvents": _describe_stack_events,
    "DescribeStackResources": lambda *call: {"StackResources": _resources(*call)},
    "DescribeStacks": _describe_stacks,
    "ExecuteChangeSet": _execute_change_set,
    "GetTemplate": _get_template,
    "GetTemplateSummary": _get_template_summary,
    "ListChangeSets": _list_change_sets,
    "ListExports": lambda state, caller, _request: {
        "Exports": [
            {"ExportingStackId": stack.id, "Name": name, "Value": output.value}
            for name, output, stack in state.stacks.exports(caller.region)
        ]
    },
    "ListStackResources": lambda *call: {"StackResourceSummaries": _resources(*call)},
    "ListStacks": _list_stacks,
    "RollbackStack": _roll_back_stack,
    "UpdateStack": _update_stack,
    "UpdateTerminationProtection": _update_termination_protection,
}
