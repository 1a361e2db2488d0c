"""The services have the resources that a template describes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws import moto_adapter
from local_aws.cloudformation.resource_work import NO_EFFECT
from local_aws.context import Context
from local_aws.server import LocalAws
from tests.support.access import document


@pytest.fixture(scope="module")
def context(aws: LocalAws) -> Context:
    return aws.context


class Stack:
    """A stack that is created or updated, and deleted at the end."""

    def __init__(self, context: Context) -> None:
        self.client = context.client("cloudformation")
        self.exists = False

    def deploy(self, resources: dict[str, Any], **outputs: Any) -> dict[str, str]:
        """Deploys and returns the outputs."""
        template = {
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
        change = self.client.update_stack if self.exists else self.client.create_stack
        change(
            StackName="resources",
            TemplateBody=json.dumps(template),
            Tags=[{"Key": "stage", "Value": "test"}],
            Capabilities=["CAPABILITY_IAM"],
        )
        self.exists = True
        described = self._wait()
        assert described["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, self.reasons()
        return {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])}

    def delete(self) -> None:
        self.client.delete_stack(StackName="resources")

    def reasons(self) -> list[str]:
        events = self.client.describe_stack_events(StackName="resources")["StackEvents"]
        return [
            event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event
        ]

    def wait_for(self, status: str) -> list[str]:
        """The reasons in the stack's events, once it has this status."""
        assert self._wait()["StackStatus"] == status
        return self.reasons()

    def _wait(self) -> dict[str, Any]:
        for _ in range(200):
            (stack,) = self.client.describe_stacks(StackName="resources")["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return dict(stack)
            time.sleep(0.05)
        raise AssertionError(stack["StackStatus"])


@pytest.fixture
def stack(context: Context) -> Iterator[Stack]:
    made = Stack(context)
    yield made
    made.delete()


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


_TRUSTED = {"Service": "lambda.amazonaws.com"}
FUNCTIONS_ROLE = resource(
    "AWS::IAM::Role",
    AssumeRolePolicyDocument=json.loads(
        document({"Effect": "Allow", "Principal": _TRUSTED, "Action": "sts:AssumeRole"})
    ),
)
TOPIC = resource("AWS::SNS::Topic", DisplayName="FAQ", KmsMasterKeyId="alias/aws/sns")


def test_vector_buckets_indexes_and_policies(stack: Stack, context: Context) -> None:
    allow = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Resource": "*"}

    def resources(action: str, dimension: int, **tags: str) -> dict[str, Any]:
        policy = {"Statement": [{**allow, "Action": f"s3vectors:{action}"}]}
        index = resource(
            "AWS::S3Vectors::Index",
            VectorBucketArn={"Ref": "Bucket"},
            DataType="float32",
            Dimension=dimension,
            DistanceMetric="cosine",
            MetadataConfiguration={"NonFilterableMetadataKeys": ["text"]},
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        return {
            "Bucket": resource("AWS::S3Vectors::VectorBucket"),
            "Policy": resource(
                "AWS::S3Vectors::VectorBucketPolicy",
                VectorBucketArn={"Fn::GetAtt": ["Bucket", "VectorBucketArn"]},
                Policy=policy,
            ),
            "Index": index,
        }

    client = context.client("s3vectors")
    refs = {"Bucket": {"Ref": "Bucket"}, "Index": {"Fn::GetAtt": ["Index", "IndexArn"]}}
    made = stack.deploy(resources("GetVectors", 8, a="1"), **refs)
    bucket = {"vectorBucketArn": made["Bucket"]}
    assert made["Bucket"].startswith("arn:aws:s3vectors:us-east-1:123456789012:bucket/resources-")
    assert client.get_index(indexArn=made["Index"])["index"]["dimension"] == 8
    tags = client.list_tags_for_resource(resourceArn=made["Index"])["tags"]
    assert (tags["a"], tags["stage"]) == ("1", "test")
    assert "GetVectors" in client.get_vector_bucket_policy(**bucket)["policy"]
    assert stack.deploy(resources("ListVectors", 8, b="2"), **refs) == made
    tags = client.list_tags_for_resource(resourceArn=made["Index"])["tags"]
    assert ("a" in tags, tags["b"]) == (False, "2")
    assert "ListVectors" in client.get_vector_bucket_policy(**bucket)["policy"]
    replaced = stack.deploy(resources("ListVectors", 16), **refs)
    assert replaced["Bucket"] == made["Bucket"]
    assert replaced["Index"] != made["Index"]
    assert len(client.list_indexes(**bucket)["indexes"]) == 1
    # What a stack did not make keeps its bucket in place.
    other = client.create_index(
        **bucket, indexName="other", dataType="float32", dimension=1, distanceMetric="cosine"
    )
    stack.delete()
    stack.exists = False
    assert "The specified vector bucket is not empty" in str(stack.wait_for("DELETE_FAILED"))
    client.delete_index(indexArn=other["indexArn"])


def test_an_alarm_notifies_a_topic_and_keeps_the_state_it_was_given(
    stack: Stack, context: Context
) -> None:
    def resources(threshold: int) -> dict[str, Any]:
        alarm = resource(
            "AWS::CloudWatch::Alarm",
            AlarmDescription="why",
            Namespace="AWS/SageMaker",
            MetricName="Invocation4XXErrors",
            Dimensions=[{"Name": "EndpointName", "Value": "e"}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[{"Ref": "Topic"}],
        )
        return {"Topic": TOPIC, "Alarm": alarm}

    client = context.client("cloudwatch")
    outputs = {"Name": {"Ref": "Alarm"}, "Arn": {"Fn::GetAtt": ["Alarm", "Arn"]}}
    made = stack.deploy(resources(0), **outputs, Topic={"Ref": "Topic"})
    (alarm,) = client.describe_alarms(AlarmNames=[made["Name"]])["MetricAlarms"]
    assert (alarm["AlarmArn"], alarm["AlarmActions"]) == (made["Arn"], [made["Topic"]])
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (0.0, "notBreaching")
    assert alarm["Dimensions"] == [{"Name": "EndpointName", "Value": "e"}]
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"

    client.set_alarm_state(AlarmName=made["Name"], StateValue="ALARM", StateReason="a test")
    assert stack.deploy(resources(5), **outputs)["Arn"] == made["Arn"]
    (alarm,) = client.describe_alarms(AlarmNames=[made["Name"]])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["StateValue"]) == (5.0, "ALARM")
    assert alarm["StateReason"] == "a test"

    stack.deploy({"Topic": TOPIC})
    assert client.describe_alarms(AlarmNames=[made["Name"]])["MetricAlarms"] == []


def test_an_alarm_may_watch_an_expression(stack: Stack, context: Context) -> None:
    queries = [
        {"Id": "sum", "Expression": "FILL(a, 0)", "Label": "all", "ReturnData": True},
        {
            "Id": "a",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {"Namespace": "N", "MetricName": "M", "Dimensions": []},
                "Period": 60,
                "Stat": "p99",
            },
        },
    ]
    alarm = resource(
        "AWS::CloudWatch::Alarm",
        AlarmName="expression",
        Metrics=queries,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
    )
    stack.deploy({"Alarm": alarm})
    (shown,) = context.client("cloudwatch").describe_alarms(AlarmNames=["expression"])[
        "MetricAlarms"
    ]
    assert [query["Id"] for query in shown["Metrics"]] == ["sum", "a"]
    assert shown["Metrics"][1]["MetricStat"]["Stat"] == "p99"
    assert (shown["EvaluationPeriods"], shown["DatapointsToAlarm"]) == (3, 2)


def test_a_topic_with_its_policy_and_its_receivers(stack: Stack, context: Context) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": "*",
            }
        ],
    }

    def resources(*addresses: str) -> dict[str, Any]:
        policy = resource(
            "AWS::SNS::TopicPolicy", Topics=[{"Ref": "Topic"}], PolicyDocument=document
        )
        receivers = {
            f"To{address[0]}": resource(
                "AWS::SNS::Subscription",
                TopicArn={"Ref": "Topic"},
                Protocol="email",
                Endpoint=address,
            )
            for address in addresses
        }
        return {"Topic": TOPIC, "Policy": policy, **receivers}

    client = context.client("sns")
    made = stack.deploy(
        resources("a@example.com", "b@example.com"),
        Arn={"Ref": "Topic"},
        Name={"Fn::GetAtt": ["Topic", "TopicName"]},
    )
    assert made["Arn"].endswith(f":{made['Name']}")
    attributes = client.get_topic_attributes(TopicArn=made["Arn"])["Attributes"]
    assert attributes["KmsMasterKeyId"] == "alias/aws/sns"
    assert json.loads(attributes["Policy"])["Statement"] == document["Statement"]
    tags = client.list_tags_for_resource(ResourceArn=made["Arn"])["Tags"]
    assert tags == [{"Key": "stage", "Value": "test"}]

    stack.deploy(resources("b@example.com"))
    found = client.list_subscriptions_by_topic(TopicArn=made["Arn"])["Subscriptions"]
    assert {s["Endpoint"] for s in found} == {"b@example.com"}


def test_a_schedule_is_kept_and_reported_as_idle(stack: Stack, context: Context) -> None:
    def resources(expression: str) -> dict[str, Any]:
        schedule = resource(
            "AWS::Scheduler::Schedule",
            ScheduleExpression=expression,
            ScheduleExpressionTimezone="Europe/Berlin",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:switch",
                "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
                "Input": '{"serving": "off"}',
            },
        )
        return {"Schedule": schedule}

    client = context.client("scheduler")
    made = stack.deploy(resources("cron(0 20 * * ? *)"), Name={"Ref": "Schedule"})
    shown = client.get_schedule(Name=made["Name"])
    assert shown["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert shown["Target"]["Input"] == '{"serving": "off"}'
    assert NO_EFFECT in stack.reasons()
    stack.deploy(resources("cron(0 21 * * ? *)"))
    assert client.get_schedule(Name=made["Name"])["ScheduleExpression"] == "cron(0 21 * * ? *)"


def test_a_vpc_and_its_parts_are_accepted_with_ids_and_reported_as_idle(stack: Stack) -> None:
    vpc = {"Ref": "Vpc"}
    resources = {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/20"),
        "Subnet": resource(
            "AWS::EC2::Subnet",
            VpcId=vpc,
            CidrBlock="10.0.0.0/22",
            AvailabilityZone={"Fn::Select": [0, {"Fn::GetAZs": ""}]},
        ),
        "Group": resource("AWS::EC2::SecurityGroup", VpcId=vpc, GroupDescription="a group"),
        "Endpoint": resource(
            "AWS::EC2::VPCEndpoint",
            VpcId=vpc,
            ServiceName="com.amazonaws.us-east-1.ssm",
            VpcEndpointType="Interface",
            SubnetIds=[{"Ref": "Subnet"}],
            SecurityGroupIds=[{"Fn::GetAtt": ["Group", "GroupId"]}],
        ),
    }
    made = stack.deploy(
        resources,
        Vpc=vpc,
        Subnet={"Ref": "Subnet"},
        Group={"Fn::GetAtt": ["Group", "GroupId"]},
        Endpoint={"Ref": "Endpoint"},
    )
    kinds = {name: value.rpartition("-")[0] for name, value in made.items()}
    assert kinds == {"Vpc": "vpc", "Subnet": "subnet", "Group": "sg", "Endpoint": "vpce"}
    assert NO_EFFECT in stack.reasons()


def test_a_rule_by_the_clock_is_idle_and_one_by_events_is_not(
    stack: Stack, context: Context
) -> None:
    clock = resource("AWS::Events::Rule", ScheduleExpression="rate(1 minute)", State="DISABLED")
    stack.deploy({"Clock": clock}, Name={"Ref": "Clock"})
    assert NO_EFFECT in stack.reasons()
    rule = context.client("events").list_rules(NamePrefix="resources-Clock")["Rules"][0]
    assert rule["State"] == "DISABLED"
    before = len(stack.reasons())
    event = resource("AWS::Events::Rule", EventPattern={"source": ["aws.s3"]})
    stack.deploy({"Clock": clock, "Event": event})
    new = stack.reasons()[: len(stack.reasons()) - before]
    assert NO_EFFECT not in new


def test_a_dashboard_has_its_body(stack: Stack, context: Context) -> None:
    body = {"widgets": [{"type": "text", "properties": {"markdown": "all well"}}]}
    dashboard = resource(
        "AWS::CloudWatch::Dashboard", DashboardName="faq", DashboardBody=json.dumps(body)
    )
    stack.deploy({"Dashboard": dashboard})
    shown = context.client("cloudwatch").get_dashboard(DashboardName="faq")
    assert json.loads(shown["DashboardBody"]) == body


class Listener:
    """Records the keys of new objects."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def object_created(self, created: moto_adapter.CreatedObject) -> None:
        self.keys.append(created.key)


def test_a_log_group_has_its_key_and_may_get_another(stack: Stack, context: Context) -> None:
    policy = {
        "Statement": [
            {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": {"AWS": "*"}},
            {
                "Effect": "Allow",
                "Action": ["kms:Decrypt*", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
            },
        ]
    }
    keys = {name: resource("AWS::KMS::Key", KeyPolicy=policy) for name in ("First", "Second")}
    for name in keys:
        arn = {"Fn::GetAtt": [name, "Arn"]}
        log = resource("AWS::Logs::LogGroup", LogGroupName="/kept-with-a-key", KmsKeyId=arn)
        wanted = stack.deploy({**keys, "Log": log}, Key=arn)["Key"]
        (found,) = context.client("logs").describe_log_groups(
            logGroupNamePrefix="/kept-with-a-key"
        )["logGroups"]
        assert found["kmsKeyId"] == wanted


def test_a_bucket_reports_new_objects_until_that_is_disabled(
    stack: Stack, context: Context
) -> None:
    def put(key: str, enabled: Any) -> str:
        reporting = {"EventBridgeConfiguration": {"EventBridgeEnabled": enabled}}
        asked = {} if enabled is None else {"NotificationConfiguration": reporting}
        bucket = stack.deploy({"Bucket": resource("AWS::S3::Bucket", **asked)}, Name=name)["Name"]
        client.put_object(Bucket=bucket, Key=key)
        return bucket

    client, name, listener = context.client("s3"), {"Ref": "Bucket"}, Listener()
    moto_adapter.object_listeners.add(listener)
    try:
        for key, enabled in (("a", True), ("b", None), ("c", "true"), ("d", False)):
            bucket = put(key, enabled)
            client.delete_object(Bucket=bucket, Key=key)
    finally:
        moto_adapter.object_listeners.remove(listener)
    assert listener.keys == ["a", "c"]


def test_a_bucket_that_notifies_anything_but_eventbridge_is_refused(stack: Stack) -> None:
    asked = {"NotificationConfiguration": {"QueueConfigurations": []}}
    with pytest.raises(AssertionError, match="to EventBridge only"):
        stack.deploy({"Bucket": resource("AWS::S3::Bucket", **asked)})


def test_several_keys_share_a_plan_and_one_can_be_taken_away(
    stack: Stack, context: Context
) -> None:
    def resources(*names: str) -> dict[str, Any]:
        keys = {
            name: resource("AWS::ApiGateway::ApiKey", Name=f"key-{name}", Enabled=True)
            for name in names
        }
        links = {
            f"{name}InPlan": resource(
                "AWS::ApiGateway::UsagePlanKey",
                KeyId={"Ref": name},
                KeyType="API_KEY",
                UsagePlanId={"Ref": "Plan"},
            )
            for name in names
        }
        return {"Plan": resource("AWS::ApiGateway::UsagePlan"), **keys, **links}

    client = context.client("apigateway")
    made = stack.deploy(resources("Old", "New"), Plan={"Ref": "Plan"}, New={"Ref": "New"})
    found = client.get_usage_plan_keys(usagePlanId=made["Plan"])["items"]
    assert {key["name"] for key in found} == {"key-Old", "key-New"}
    assert len({key["value"] for key in found}) == 2
    stack.deploy(resources("New"))
    (left,) = client.get_usage_plan_keys(usagePlanId=made["Plan"])["items"]
    assert left["id"] == made["New"]


def test_an_apis_policy_and_endpoints_may_change(stack: Stack, context: Context) -> None:
    def deploy(**properties: Any) -> dict[str, Any]:
        asked = {"Api": resource("AWS::ApiGateway::RestApi", Name="p", **properties)}
        made = stack.deploy(asked, Api={"Ref": "Api"})
        found: dict[str, Any] = client.get_rest_api(restApiId=made["Api"])
        return found

    def private(*ids: str) -> dict[str, Any]:
        return {"Types": ["PRIVATE"], "VpcEndpointIds": [*ids]}

    client = context.client("apigateway")
    found = deploy(EndpointConfiguration={"Types": ["REGIONAL"]}, Policy={"Statement": []})
    assert json.loads(found["policy"]) == {"Statement": []}
    found = deploy(EndpointConfiguration=private("vpce-1", "vpce-2"), Policy={"Version": "x"})
    assert json.loads(found["policy"]) == {"Version": "x"}
    assert found["endpointConfiguration"]["types"] == ["PRIVATE"]
    assert found["endpointConfiguration"]["vpcEndpointIds"] == ["vpce-1", "vpce-2"]
    found = deploy(EndpointConfiguration=private("vpce-2"))
    assert not found.get("policy")
    assert found["endpointConfiguration"]["vpcEndpointIds"] == ["vpce-2"]


def test_a_plans_limits_may_change(stack: Stack, context: Context) -> None:
    def resources(methods: dict[str, Any], **plan: Any) -> dict[str, Any]:
        mock = {"Type": "MOCK"}
        api, covered = {"Ref": "Api"}, {"ApiId": {"Ref": "Api"}, "Stage": {"Ref": "Stage"}}
        return {
            "Api": resource("AWS::ApiGateway::RestApi", Name="limited"),
            "Method": resource(
                "AWS::ApiGateway::Method",
                RestApiId=api,
                ResourceId={"Fn::GetAtt": ["Api", "RootResourceId"]},
                HttpMethod="GET",
                AuthorizationType="NONE",
                Integration=mock,
            ),
            "Deployment": {
                **resource("AWS::ApiGateway::Deployment", RestApiId=api),
                "DependsOn": "Method",
            },
            "Stage": resource(
                "AWS::ApiGateway::Stage",
                RestApiId=api,
                DeploymentId={"Ref": "Deployment"},
                StageName="v1",
            ),
            "Plan": resource(
                "AWS::ApiGateway::UsagePlan", ApiStages=[{**covered, "Throttle": methods}], **plan
            ),
        }

    def deploy(methods: dict[str, Any], **plan: Any) -> dict[str, Any]:
        made = stack.deploy(resources(methods, **plan), Plan={"Ref": "Plan"})
        found: dict[str, Any] = client.get_usage_plan(usagePlanId=made["Plan"])
        return found

    client = context.client("apigateway")
    slow = {"RateLimit": 0.5, "BurstLimit": 2}
    found = deploy({"/batch/POST": slow}, Quota={"Limit": 9, "Period": "DAY"})
    assert found["quota"] == {"limit": 9, "period": "DAY"}
    [covered] = found["apiStages"]
    assert covered["throttle"] == {"/batch/POST": {"rateLimit": 0.5, "burstLimit": 2}}
    found = deploy({"/a/GET": slow, "/batch/POST": {"RateLimit": 3, "BurstLimit": 2}})
    assert "quota" not in found
    [covered] = found["apiStages"]
    assert covered["throttle"] == {
        "/a/GET": {"rateLimit": 0.5, "burstLimit": 2},
        "/batch/POST": {"rateLimit": 3, "burstLimit": 2},
    }
    found = deploy({"/a/GET": slow}, Throttle=slow, Quota={"Limit": 8, "Period": "MONTH"})
    assert [*found["apiStages"][0]["throttle"]] == ["/a/GET"]
    assert (found["throttle"]["burstLimit"], found["quota"]["limit"]) == (2, 8)
    assert "throttle" not in deploy({"/a/GET": slow})


def test_an_api_gets_an_authorizer_which_may_change(stack: Stack, context: Context) -> None:
    def resources(expression: str, **api: Any) -> dict[str, Any]:
        authorizer = resource(
            "AWS::ApiGateway::Authorizer",
            Name="tokens",
            RestApiId={"Ref": "Api"},
            Type="TOKEN",
            AuthorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/x/invocations",
            AuthorizerResultTtlInSeconds=0,
            IdentitySource="method.request.header.Authorization",
            IdentityValidationExpression=expression,
        )
        return {"Api": resource("AWS::ApiGateway::RestApi", Name="a", **api), "A": authorizer}

    client = context.client("apigateway")
    refs = {"Api": {"Ref": "Api"}, "A": {"Fn::GetAtt": ["A", "AuthorizerId"]}}
    made = stack.deploy(resources("^Bearer", ApiKeySourceType="AUTHORIZER"), **refs)
    assert client.get_rest_api(restApiId=made["Api"])["apiKeySource"] == "AUTHORIZER"
    (found,) = client.get_authorizers(restApiId=made["Api"])["items"]
    assert found["id"] == made["A"]
    assert found["authorizerResultTtlInSeconds"] == 0
    assert found["identityValidationExpression"] == "^Bearer"
    again = stack.deploy(resources("^bearer"), **refs)
    assert again == made
    (found,) = client.get_authorizers(restApiId=made["Api"])["items"]
    assert found["identityValidationExpression"] == "^bearer"
    assert client.get_rest_api(restApiId=made["Api"])["apiKeySource"] == "HEADER"


def test_a_function_reserves_concurrency_as_long_as_it_is_asked_to(
    stack: Stack, context: Context
) -> None:
    def resources(**more: Any) -> dict[str, Any]:
        function = resource(
            "AWS::Lambda::Function",
            FunctionName="reserving",
            Runtime="python3.13",
            Handler="index.handler",
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Code={"ZipFile": "def handler(event, context):\n    return 1\n"},
            **more,
        )
        return {"Role": FUNCTIONS_ROLE, "Function": function}

    client = context.client("lambda")
    stack.deploy(resources(ReservedConcurrentExecutions=0))
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="reserving")
    stack.deploy(resources(ReservedConcurrentExecutions="3"))
    shown = client.get_function_concurrency(FunctionName="reserving")
    assert shown["ReservedConcurrentExecutions"] == 3
    stack.deploy(resources())
    shown = client.get_function_concurrency(FunctionName="reserving")
    assert "ReservedConcurrentExecutions" not in shown
    assert client.invoke(FunctionName="reserving")["Payload"].read() == b"1"


def test_an_inline_policy_has_an_id_of_its_own_and_leaves_none_behind(
    stack: Stack, context: Context
) -> None:
    role = FUNCTIONS_ROLE
    allows = document({"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"})

    def deploy(name: str) -> dict[str, str]:
        policy = resource(
            "AWS::IAM::Policy", PolicyName=name, PolicyDocument=allows, Roles=[{"Ref": "Role"}]
        )
        return stack.deploy(
            {"Role": role, "Policy": policy}, Id={"Ref": "Policy"}, Role={"Ref": "Role"}
        )

    def names() -> list[str]:
        return list(context.client("iam").list_role_policies(RoleName=made["Role"])["PolicyNames"])

    made = deploy("first")
    assert made["Id"].startswith("resou-Polic-")
    assert names() == ["first"]
    assert deploy("second") == made
    assert names() == ["second"]
    stack.deploy({"Role": role})
    assert names() == []


def published(source: str, description: str, *, version: str, snap_start: bool = True) -> dict:
    """A function with a version and an alias of it, as the CDK makes them."""
    function = resource(
        "AWS::Lambda::Function",
        FunctionName="published",
        Description=description,
        Runtime="python3.13",
        Handler="index.handler",
        Role={"Fn::GetAtt": ["Role", "Arn"]},
        Code={"ZipFile": source},
        **({"SnapStart": {"ApplyOn": "PublishedVersions"}} if snap_start else {}),
    )
    return {
        "Role": FUNCTIONS_ROLE,
        "Function": function,
        version: resource("AWS::Lambda::Version", FunctionName={"Ref": "Function"}),
        "Live": resource(
            "AWS::Lambda::Alias",
            FunctionName={"Ref": "Function"},
            FunctionVersion={"Fn::GetAtt": [version, "Version"]},
            Name="live",
        ),
    }


def test_an_alias_goes_on_to_the_next_version_and_the_one_before_is_deleted(
    stack: Stack, context: Context
) -> None:
    client = context.client("lambda")

    def call() -> bytes:
        content: bytes = client.invoke(FunctionName="published:live")["Payload"].read()
        return content

    source = "def handler(event, context):\n    return %d\n"
    alias = {"Ref": "Live"}
    first = stack.deploy(published(source % 1, "one", version="First"), Alias=alias)
    assert call() == b"1"
    second = stack.deploy(
        published(source % 2, "two", version="Second", snap_start=False), Alias=alias
    )
    assert call() == b"2"
    assert second == first
    shown = client.list_versions_by_function(FunctionName="published")["Versions"]
    assert [(each["Version"], each["SnapStart"]["ApplyOn"]) for each in shown] == [
        ("$LATEST", "None"),
        ("2", "None"),
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def handler(event, context):\n    return 1\n", "version for this Lambda function exists"),
        ("import nothing_such\n", "nothing_such"),
    ],
    ids=["nothing has changed", "the import fails"],
)
def test_a_version_that_cannot_be_published_fails_the_update(
    stack: Stack, context: Context, source: str, reason: str
) -> None:
    working = "def handler(event, context):\n    return 1\n"
    stack.deploy(published(working, "one", version="First"))
    with pytest.raises(AssertionError):
        stack.deploy(published(source, "one", version="Second"))
    assert reason in "\n".join(stack.reasons())
    client = context.client("lambda")
    assert client.invoke(FunctionName="published:live")["Payload"].read() == b"1"
