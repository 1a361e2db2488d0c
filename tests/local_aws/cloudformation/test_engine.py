"""The engine creates, updates, replaces, deletes and rolls back in CloudFormation's order."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support.cloudformation import named, thing

CHAIN = {
    "Last": thing({"Fn::GetAtt": ["Middle", "Value"]}),
    "Middle": thing({"Ref": "First"}),
    "First": thing("x"),
}


def test_creates_after_and_deletes_before_dependencies(cloudformation, provider):
    assert cloudformation.deploy(CHAIN) == "CREATE_COMPLETE"
    assert provider.order("create") == ["First", "Middle", "Last"]
    assert cloudformation.delete() == "DELETE_COMPLETE"
    assert provider.order("delete") == ["Last", "Middle", "First"]


def test_references_reach_the_provider_resolved(cloudformation, provider):
    seen = {}
    provider.meanwhile = lambda verb, request: seen.update({request.logical_id: request.properties})
    cloudformation.deploy(CHAIN)
    assert seen["Middle"] == {"Value": "First-1"}
    assert seen["Last"] == {"Value": "First-1"}


def test_independent_resources_are_created_in_parallel(cloudformation, provider):
    together = threading.Barrier(3, timeout=5)
    provider.meanwhile = lambda verb, request: together.wait()
    assert cloudformation.deploy({name: thing() for name in "ABC"}) == "CREATE_COMPLETE"


def test_unchanged_resources_are_left_alone(cloudformation, provider):
    cloudformation.deploy({"A": thing("1"), "B": thing("1")})
    provider.forget()
    assert cloudformation.deploy({"A": thing("2"), "B": thing("1")}) == "UPDATE_COMPLETE"
    assert provider.calls == [("update", "A", cloudformation.physical_id("A"))]


def test_a_replaced_resource_is_deleted_last(cloudformation, provider):
    cloudformation.deploy({"P": named("old"), "User": thing({"Ref": "P"})})
    old = cloudformation.physical_id("P")
    provider.forget()
    cloudformation.deploy({"P": named("new"), "User": thing({"Ref": "P"})})
    assert [verb for verb, *_ in provider.calls] == ["create", "update", "delete"]
    assert provider.calls[-1] == ("delete", "P", old)
    assert cloudformation.physical_id("P") != old


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_policies_decide_whether_old_resources_are_kept(cloudformation, provider, policy):
    kept = {"UpdateReplacePolicy": policy, "DeletionPolicy": policy}
    stays = {"Stays": thing()}
    cloudformation.deploy({"P": {**named("old"), **kept}, "Gone": thing(**kept), **stays})
    provider.forget()
    cloudformation.deploy({"P": {**named("new"), **kept}, **stays})
    cloudformation.deploy(stays)
    deleted = [] if policy == "Retain" else ["Gone", "P", "P"]
    assert sorted(provider.order("delete")) == deleted


def test_a_failed_creation_is_rolled_back_and_can_be_deleted(cloudformation, provider):
    provider.failing = {("create", "Last")}
    assert cloudformation.deploy(CHAIN) == "ROLLBACK_COMPLETE"
    assert cloudformation.statuses() == [
        "CREATE_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_COMPLETE",
    ]
    assert provider.order("delete") == ["Middle", "First"]
    assert cloudformation.reason("Last") == "create of Last was made to fail"
    assert cloudformation.delete() == "DELETE_COMPLETE"


def test_nothing_more_begins_after_a_failure(cloudformation, provider):
    provider.failing = {("create", "First")}
    cloudformation.deploy(CHAIN)
    assert provider.order("create") == ["First"]


def test_nothing_starts_after_a_failure(cloudformation, provider):
    failed = threading.Event()

    def slow_or_failing(verb, request):
        if verb == "create" and request.logical_id == "Slow":
            failed.wait(5)
            time.sleep(0.1)
        elif request.logical_id == "Broken":
            failed.set()

    provider.meanwhile = slow_or_failing
    provider.failing = {("create", "Broken")}
    cloudformation.deploy({"Slow": thing(), "After": thing(DependsOn="Slow"), "Broken": thing()})
    assert sorted(provider.order("create")) == ["Broken", "Slow"]


def test_a_failed_update_rolls_back(cloudformation, provider):
    before = {"A": thing("1"), "P": named("old"), "Gone": thing()}
    cloudformation.deploy(before)
    ids = {name: cloudformation.physical_id(name) for name in before}
    provider.forget()
    provider.failing = {("create", "Broken")}
    after = {
        "A": thing("2"),
        "P": named("new"),
        "Fresh": thing(),
        "Broken": thing(DependsOn=["A", "P", "Fresh"]),
    }
    assert cloudformation.deploy(after) == "UPDATE_ROLLBACK_COMPLETE"
    assert cloudformation.statuses()[-4:] == [
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
    ]
    # A is restored, the new P and Fresh are deleted, the old P and Gone were not touched.
    assert provider.order("update") == ["A", "A"]
    assert sorted(provider.order("delete")) == ["Fresh", "P"]
    assert {name: cloudformation.physical_id(name) for name in before} == ids
    assert cloudformation.resources() == sorted(before)
    provider.forget()
    assert cloudformation.deploy({**before, "A": thing("3")}) == "UPDATE_COMPLETE"
    assert provider.order("update") == ["A"]


def test_the_stack_says_so_while_it_rolls_back(cloudformation, provider):
    seen = []
    provider.meanwhile = lambda verb, request: seen.append(
        (verb, cloudformation.call("DescribeStacks", StackName="app")["Stacks"][0]["StackStatus"])
    )
    cloudformation.deploy({"A": thing("1")})
    provider.failing = {("create", "B")}
    cloudformation.deploy({"A": thing("2"), "B": thing(DependsOn="A")})
    assert seen[-1] == ("update", "UPDATE_ROLLBACK_IN_PROGRESS")


def test_an_update_names_what_was_not_created_and_what_was_not_changed(cloudformation, provider):
    cloudformation.deploy({"A": thing("1")})
    together = threading.Barrier(2, timeout=5)

    def wait_for_the_other(verb, request):
        together.wait()
        provider.meanwhile = lambda verb, request: None  # the rollback changes one alone

    provider.meanwhile = wait_for_the_other
    provider.failing = {("update", "A"), ("create", "B")}
    cloudformation.deploy({"A": thing("2"), "B": thing()})
    (reason, *_) = (
        event["ResourceStatusReason"]
        for event in cloudformation.call("DescribeStackEvents", StackName="app")["StackEvents"]
        if event["ResourceStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS"
    )
    assert reason == (
        "The following resource(s) failed to create: [B]. "
        "The following resource(s) failed to update: [A]. "
    )


def test_an_update_that_fails_itself_is_undone_too(cloudformation, provider):
    cloudformation.deploy({"A": thing("1")})
    values = []

    def fail_once(verb, request):
        values.append(request.properties["Value"])
        provider.failing = {("update", "A")} if len(values) == 1 else set()

    provider.meanwhile = fail_once
    assert cloudformation.deploy({"A": thing("2")}) == "UPDATE_ROLLBACK_COMPLETE"
    assert values == ["2", "1"]


def test_a_rollback_that_fails_can_be_continued(cloudformation, provider):
    cloudformation.deploy({"A": thing("1")})
    provider.failing = {("update", "A")}
    assert cloudformation.deploy({"A": thing("2")}) == "UPDATE_ROLLBACK_FAILED"
    provider.forget()
    cloudformation.call("ContinueUpdateRollback", StackName="app")
    assert cloudformation.wait() == "UPDATE_ROLLBACK_COMPLETE"


def test_without_rollback_the_stack_stays_failed_until_it_is_rolled_back(cloudformation, provider):
    provider.failing = {("create", "B")}
    resources = {"A": thing(), "B": thing(DependsOn="A")}
    assert cloudformation.deploy(resources, DisableRollback=True) == "CREATE_FAILED"
    assert cloudformation.resources() == ["A"]
    cloudformation.call("RollbackStack", StackName="app")
    assert cloudformation.wait() == "ROLLBACK_COMPLETE"
    assert provider.order("delete") == ["A"]


def test_the_next_update_recreates_a_resource_whose_creation_failed(cloudformation, provider):
    provider.leaves_remains = True
    provider.failing = {("create", "A")}
    assert cloudformation.deploy({"A": thing()}, DisableRollback=True) == "CREATE_FAILED"
    remains = cloudformation.physical_id("A")
    provider.forget()
    assert cloudformation.deploy({"A": thing(), "B": thing()}) == "UPDATE_COMPLETE"
    assert ("delete", "A", remains) in provider.calls
    assert cloudformation.physical_id("A") != remains


def test_a_rollback_restores_policies_and_imports(cloudformation, provider):
    export = {"Out": {"Value": "v", "Export": {"Name": "x"}}}
    cloudformation.deploy({"A": thing()}, name="owner", Outputs=export)
    cloudformation.deploy({"A": thing(), "B": thing({"Fn::ImportValue": "x"})})
    provider.failing = {("create", "Broken")}
    changed = {"A": thing(DeletionPolicy="Retain"), "Broken": thing(DependsOn=["A"])}
    assert cloudformation.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert cloudformation.operations.stacks.importers("eu-west-1", "x") == ["app"]
    provider.forget()
    cloudformation.delete()
    assert sorted(provider.order("delete")) == ["A", "B"]


def test_a_resource_that_cannot_be_deleted_keeps_the_stack(cloudformation, provider):
    cloudformation.deploy(CHAIN)
    provider.failing = {("delete", "Middle")}
    assert cloudformation.delete() == "DELETE_FAILED"
    assert cloudformation.resources() == ["First", "Middle"]
    assert cloudformation.reason("Middle") == "delete of Middle was made to fail"
    provider.forget()
    assert cloudformation.delete() == "DELETE_COMPLETE"
    assert provider.order("delete") == ["Middle", "First"]


def test_one_operation_at_a_time(cloudformation, provider):
    inside, go_on = threading.Event(), threading.Event()

    def hold(verb, request):
        inside.set()
        go_on.wait(5)

    provider.meanwhile = hold
    worker = threading.Thread(target=cloudformation.deploy, args=({"A": thing()},))
    worker.start()
    assert inside.wait(5)
    try:
        with pytest.raises(Exception, match="CREATE_IN_PROGRESS state and can not be updated"):
            cloudformation.call("DeleteStack", StackName="app")
    finally:
        go_on.set()
        worker.join()


def test_waiting_ends_when_another_resource_fails(cloudformation, provider):
    waiting = threading.Event()

    def wait_or_fail(verb, request):
        if request.logical_id == "Slow" and verb == "create":
            waiting.set()
            request.wait_until(lambda: False, seconds=30, what="Slow")
        else:
            waiting.wait(5)

    provider.meanwhile = wait_or_fail
    provider.failing = {("create", "Broken")}
    began = time.monotonic()
    assert cloudformation.deploy({"Slow": thing(), "Broken": thing()}) == "ROLLBACK_COMPLETE"
    assert time.monotonic() - began < 5
    assert cloudformation.reason("Slow") == "Resource creation cancelled"


def test_events_have_ever_later_times(cloudformation, provider):
    cloudformation.deploy({f"R{number}": thing() for number in range(30)})
    events = cloudformation.call("DescribeStackEvents", StackName="app")["StackEvents"]
    times = [event["Timestamp"] for event in events]
    assert times == sorted(set(times), reverse=True)


EXPORT = {"Out": {"Value": {"Fn::GetAtt": ["A", "Value"]}, "Export": {"Name": "x"}}}


def test_exports_in_use_stay_as_they_are(cloudformation, provider):
    cloudformation.deploy({"A": thing("1")}, name="owner", Outputs=EXPORT)
    cloudformation.deploy({"B": thing({"Fn::ImportValue": "x"})}, name="user")
    assert provider.calls[-1][1] == "B"
    changed = cloudformation.deploy({"A": thing("2")}, name="owner", Outputs=EXPORT)
    assert changed == "UPDATE_ROLLBACK_COMPLETE"
    removed = cloudformation.deploy({"A": thing("1"), "C": thing()}, name="owner")
    assert removed == "UPDATE_ROLLBACK_COMPLETE"
    assert cloudformation.delete("owner") == "UPDATE_ROLLBACK_COMPLETE"
    owner = cloudformation.call("DescribeStacks", StackName="owner")["Stacks"][0]
    assert "Cannot delete export x as it is in use by user" in owner["StackStatusReason"]
    assert cloudformation.operations.stacks.importers("eu-west-1", "x") == ["user"]
    cloudformation.delete("user")
    assert cloudformation.delete("owner") == "DELETE_COMPLETE"


def test_a_missing_attribute_fails_the_resource_that_asks(cloudformation, provider):
    status = cloudformation.deploy({"A": thing(), "B": thing({"Fn::GetAtt": ["A", "Nope"]})})
    assert status == "ROLLBACK_COMPLETE"
    assert "does not support attribute type Nope" in cloudformation.reason("B")


def test_stack_tags_reach_types_that_take_them(cloudformation, provider):
    seen = {}
    provider.meanwhile = lambda verb, request: seen.update({request.logical_id: request.properties})
    provider.tags = "list"
    own = [{"Key": "stage", "Value": "own"}]
    tags = [{"Key": "stage", "Value": "dev"}, {"Key": "app", "Value": "faq"}]
    resource = {**thing(), "Properties": {"Tags": own}}
    cloudformation.deploy({"A": resource}, Tags=tags)
    assert seen["A"]["Tags"] == [*own, {"Key": "app", "Value": "faq"}]
