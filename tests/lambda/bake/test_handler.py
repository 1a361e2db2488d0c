"""What Custom::Bake answers CloudFormation, and what it starts and stops."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.bake_scenarios import (
    BUCKET,
    NEW,
    OLD,
    marked,
    name,
    output,
    properties,
    started,
)
from tests.support.recorded_aws import AwsError


class TestReuse:
    def test_answers_at_once_with_a_marked_artifact(self, aws, answers, bake):
        url = marked(aws, OLD, attempt=2)
        bake("Create", OLD)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["PhysicalResourceId"] == OLD
        assert answers.only["Data"] == {"ModelDataUrl": url, "TrainingJobName": name(OLD, 2)}
        assert aws.executions == {}

    def test_needs_more_than_the_marker(self, aws, answers, bake):
        marked(aws, OLD)
        del aws.objects[BUCKET, f"bakes/{OLD}/{name(OLD)}/output/model.tar.gz"]
        bake("Create", OLD)
        assert answers.received == []
        assert len(aws.executions) == 1

    def test_needs_more_than_the_artifact(self, aws, answers, bake):
        marked(aws, OLD)
        del aws.objects[BUCKET, f"bakes/{OLD}/bake.json"]
        bake("Create", OLD)
        assert len(aws.executions) == 1

    @pytest.mark.parametrize(
        "body", [b"{", b"{}", b"[]", b'"x"', b'{"bake_id": 1}', b"\xff", b'{"bake_id": "a"}']
    )
    def test_bakes_again_if_the_marker_is_damaged(self, aws, answers, bake, body):
        marked(aws, OLD)
        aws.objects[BUCKET, f"bakes/{OLD}/bake.json"] = body
        bake("Create", OLD)
        assert len(aws.executions) == 1

    def test_ignores_an_artifact_in_another_bucket(self, aws, bake):
        url = marked(aws, OLD, bucket="yesterdays-bucket")
        aws.objects[BUCKET, url.split("/", 3)[3]] = b"of the same key"
        bake("Create", OLD)
        assert len(aws.executions) == 1

    def test_needs_more_than_a_completed_job(self, aws, bake):
        aws.add_job(name(OLD), "Completed", output(OLD))
        bake("Create", OLD)
        assert started(aws)["training_job"]["TrainingJobName"] == name(OLD, 2)


class TestStart:
    def test_hands_a_typed_request_to_the_workflow(self, aws, answers, bake):
        event = bake.request("Create", NEW)
        bake.handle(event)
        assert answers.received == []
        task = started(aws)
        assert task["event"] == event
        assert task["bake_id"] == NEW
        job = task["training_job"]
        assert job["TrainingJobName"] == name(NEW)
        assert job["EnableNetworkIsolation"] is True
        assert job["ResourceConfig"]["InstanceCount"] == 1
        assert job["ResourceConfig"]["VolumeSizeInGB"] == 30
        assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 2700
        assert job["HyperParameters"]["batch_size"] == "64"
        assert job["HyperParameters"]["store_text"] == "true"
        assert job["Tags"] == []
        assert job["Environment"] == {}

    def test_hands_on_the_network_of_a_private_stage(self, aws, bake):
        private = properties(NEW)
        vpc = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
        private["TrainingJob"]["VpcConfig"] = vpc
        bake("Create", NEW, ResourceProperties=private)
        assert started(aws)["training_job"]["VpcConfig"] == vpc

    def test_the_deadline_is_50_minutes_from_the_request(self, aws, bake):
        bake("Create", NEW)
        deadline = datetime.fromisoformat(started(aws)["deadline"])
        left = deadline - datetime.now(UTC)
        assert timedelta(minutes=49.9) < left <= timedelta(minutes=50)

    def test_a_repeated_request_starts_no_second_execution(self, aws, answers, bake):
        event = bake.request("Create", NEW)
        bake.handle(event)
        bake.handle(event)
        assert len(aws.executions) == 1
        assert answers.received == []

    def test_takes_the_first_name_sagemaker_does_not_know(self, aws, bake):
        aws.add_job(name(NEW, 1), "Failed", output(NEW))
        aws.add_job(name(NEW, 2), "Stopped", output(NEW))
        aws.add_job(name(NEW, 3), "Stopping", output(NEW))
        bake("Create", NEW)
        assert started(aws)["training_job"]["TrainingJobName"] == name(NEW, 4)

    def test_joins_a_job_of_this_bake_in_progress(self, aws, bake):
        aws.add_job(name(NEW, 1), "Failed", output(NEW))
        aws.add_job(name(NEW, 2), "InProgress", output(NEW))
        bake("Create", NEW)
        assert started(aws)["training_job"]["TrainingJobName"] == name(NEW, 2)

    def test_does_not_join_a_job_that_writes_elsewhere(self, aws, bake):
        aws.add_job(name(NEW), "InProgress", output(NEW, "yesterdays-bucket"))
        bake("Create", NEW)
        assert started(aws)["training_job"]["TrainingJobName"] == name(NEW, 2)

    def test_a_long_prefix_is_cut_for_hash_and_attempt(self, aws, bake):
        long = properties(NEW, TrainingJobPrefix="faq-search-of-a-team-with-a-very-long-na-e" * 2)
        bake("Create", NEW, ResourceProperties=long)
        chosen = started(aws)["training_job"]["TrainingJobName"]
        assert len(chosen) <= 63
        assert chosen.endswith(f"-{NEW[:12]}-1")

    @pytest.mark.parametrize(
        ("path", "value", "named"),
        [
            (("ResourceConfig", "VolumeSizeInGB"), "many", "TrainingJob.ResourceConfig.Volume"),
            (("EnableNetworkIsolation",), "yes", "TrainingJob.EnableNetworkIsolation"),
            (("ResourceConfig", "InstanceKind"), "x", "no field InstanceKind"),
            (("InputDataConfig",), "s3://x", "TrainingJob.InputDataConfig"),
            (("HyperParameters",), "x", "TrainingJob.HyperParameters"),
            (("RoleArn",), {"a": "b"}, "TrainingJob.RoleArn"),
            (("CheckpointConfig",), {"S3Uri": "s3://x/"}, "CheckpointConfig"),
        ],
    )
    def test_a_wrong_request_fails_with_its_field(self, aws, answers, bake, path, value, named):
        wrong = properties(NEW)
        inner = wrong["TrainingJob"]
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        bake("Create", NEW, ResourceProperties=wrong)
        assert answers.only["Status"] == "FAILED"
        assert named in answers.only["Reason"]
        assert answers.only["PhysicalResourceId"] == NEW

    def test_a_missing_field_is_named(self, aws, answers, bake):
        wrong = properties(NEW)
        del wrong["TrainingJob"]["RoleArn"]
        bake("Create", NEW, ResourceProperties=wrong)
        assert answers.only["Status"] == "FAILED"
        assert answers.only["Reason"].endswith("not among them: RoleArn.")

    @pytest.mark.parametrize(
        "operation", ["GetObject", "DescribeStacks", "DescribeTrainingJob", "StartExecution"]
    )
    def test_any_error_of_aws_fails_instead_of_waiting_an_hour(self, aws, answers, bake, operation):
        aws.broken[operation] = AwsError("AccessDeniedException", "not allowed", 403)
        bake("Create", NEW)
        if operation == "DescribeStacks":
            # Without the status it counts as a deployment.
            assert len(aws.executions) == 1
        else:
            assert answers.only["Status"] == "FAILED"
            assert "not allowed" in answers.only["Reason"]


class TestUpdate:
    def test_bakes_the_new_hash_beside_the_old_one(self, aws, answers, bake):
        marked(aws, OLD)
        aws.stack_status = "UPDATE_IN_PROGRESS"
        bake("Update", NEW, old=OLD)
        assert answers.received == []
        assert started(aws)["training_job"]["TrainingJobName"] == name(NEW)

    def test_back_to_an_earlier_corpus_needs_no_second_training(self, aws, answers, bake):
        url = marked(aws, OLD)
        aws.stack_status = "UPDATE_IN_PROGRESS"
        bake("Update", OLD, old=NEW)
        assert answers.only["Data"]["ModelDataUrl"] == url
        assert answers.only["PhysicalResourceId"] == OLD


ROLLBACKS = ["UPDATE_ROLLBACK_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"]


@pytest.mark.parametrize("status", ROLLBACKS)
class TestRollback:
    """CloudFormation undoes an update by another with the old properties."""

    def test_answers_with_the_old_artifact(self, aws, answers, bake, status):
        aws.stack_status = status
        url = marked(aws, OLD)
        bake("Update", OLD, old=NEW)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["PhysicalResourceId"] == OLD
        assert answers.only["Data"]["ModelDataUrl"] == url

    def test_without_a_marker_answers_with_the_newest_artifact(self, aws, answers, bake, status):
        aws.stack_status = status
        url = marked(aws, OLD, attempt=3)
        del aws.objects[BUCKET, f"bakes/{OLD}/bake.json"]
        bake("Update", OLD, old=NEW)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["Data"] == {"ModelDataUrl": url, "TrainingJobName": name(OLD, 3)}
        assert aws.executions == {}

    def test_with_nothing_left_still_succeeds(self, aws, answers, bake, status):
        aws.stack_status = status
        bake("Update", OLD, old=NEW)
        assert answers.only["Status"] == "SUCCESS"
        expected = f"{output(OLD)}{name(OLD)}/output/model.tar.gz"
        assert answers.only["Data"]["ModelDataUrl"] == expected
        assert aws.executions == {}

    def test_succeeds_even_if_s3_refuses_everything(self, aws, answers, bake, status):
        aws.stack_status = status
        for operation in ("GetObject", "HeadObject", "ListObjectsV2"):
            aws.broken[operation] = AwsError("AccessDenied", "no", 403)
        bake("Update", OLD, old=NEW)
        assert answers.only["Status"] == "SUCCESS"

    def test_stops_the_interrupted_bake(self, aws, answers, bake, status):
        marked(aws, OLD)
        aws.stack_status = "UPDATE_IN_PROGRESS"
        bake("Update", NEW, old=OLD)
        aws.add_job(name(NEW), "InProgress", output(NEW))
        aws.stack_status = status
        bake("Update", OLD, old=NEW, RequestId="rollback")
        assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "Stopping"
        assert [e["status"] for e in aws.executions.values()] == ["ABORTED"]
        assert answers.only["Status"] == "SUCCESS"

    def test_succeeds_even_if_nothing_can_be_stopped(self, aws, answers, bake, status):
        aws.stack_status = status
        url = marked(aws, OLD)
        for operation in ("ListExecutions", "DescribeTrainingJob"):
            aws.broken[operation] = AwsError("AccessDeniedException", "no", 403)
        bake("Update", OLD, old=NEW)
        assert answers.only["Data"]["ModelDataUrl"] == url


class TestDelete:
    def test_stops_only_this_bake_and_keeps_its_artifact(self, aws, answers, bake):
        bake("Create", OLD)
        bake("Create", NEW)
        marked(aws, NEW, attempt=2)
        aws.add_job(name(OLD), "InProgress", output(OLD))
        aws.add_job(name(NEW, 1), "Failed", output(NEW))
        aws.add_job(name(NEW, 2), "InProgress", output(NEW))
        objects = dict(aws.objects)
        bake("Delete", NEW)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["PhysicalResourceId"] == NEW
        assert aws.jobs[name(OLD)]["TrainingJobStatus"] == "InProgress"
        assert aws.jobs[name(NEW, 2)]["TrainingJobStatus"] == "Stopping"
        by_bake = {json.loads(e["input"])["bake_id"]: e["status"] for e in aws.executions.values()}
        assert by_bake == {OLD: "RUNNING", NEW: "ABORTED"}
        assert aws.objects == objects

    def test_can_be_repeated(self, aws, answers, bake):
        aws.add_job(name(NEW), "InProgress", output(NEW))
        bake("Delete", NEW)
        bake("Delete", NEW)
        assert [answer["Status"] for answer in answers.received] == ["SUCCESS", "SUCCESS"]
        assert len(aws.called("StopTrainingJob")) == 1

    def test_with_an_id_made_up_by_cloudformation_stops_the_bake(self, aws, answers, bake):
        aws.add_job(name(NEW), "InProgress", output(NEW))
        made_up = "FaqSearch-dev-Model-Bake-1ABCDEF"
        bake("Delete", NEW, PhysicalResourceId=made_up)
        assert answers.only["Status"] == "SUCCESS"
        assert answers.only["PhysicalResourceId"] == made_up
        assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "Stopping"

    def test_stops_the_job_even_if_the_execution_cannot_be_stopped(self, aws, answers, bake):
        aws.add_job(name(NEW), "InProgress", output(NEW))
        aws.broken["ListExecutions"] = AwsError("AccessDeniedException", "no")
        bake("Delete", NEW)
        assert aws.jobs[name(NEW)]["TrainingJobStatus"] == "Stopping"
        assert answers.only["Status"] == "SUCCESS"

    def test_succeeds_even_if_everything_fails(self, aws, answers, bake):
        for operation in ("ListExecutions", "DescribeTrainingJob", "StopTrainingJob"):
            aws.broken[operation] = AwsError("AccessDeniedException", "no")
        bake("Delete", NEW)
        assert answers.only["Status"] == "SUCCESS"
