"""The private network: nothing leads out of it, and who may reach whom by which door."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from stacks.front_door.stack import FrontDoorStack
from stacks.model.stack import ModelStack
from tests.support.synthesis import (
    Templates,
    changed,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
    templates_of,
)

FUNCTION, GROUP, ENDPOINT = (
    "AWS::Lambda::Function",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::VPCEndpoint",
)
EXISTING = {
    "vpc_id": "vpc-0123456789abcdef0",
    "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "route_table_ids": ["rtb-0123456789abcdef0"],
}
# Services that a role's actions belong to, by prefix: the part of an endpoint's name.
DOORS = {
    "cloudformation": "cloudformation",
    "logs": "logs",
    "s3": "s3",
    "sagemaker": "sagemaker.api",
    "ssm": "ssm",
    "states": "states",
}
# What Lambda, S3 and X-Ray's daemon do outside of the VPC, with the function's role.
BY_SERVICES = ("ec2:", "kms:", "xray:")


@pytest.fixture
def private(templates: Callable[[str], Templates]) -> Templates:
    return templates("private")


@pytest.fixture
def foundation(private: Templates) -> dict[str, Any]:
    return private["Foundation"]


def existing(**more: Any) -> Templates:
    """The stage in a VPC that is there already; settings of the VPC may be added."""
    network = {"private_api": False, "existing": EXISTING | more}
    return some_templates_of(changed("private", network=network), FrontDoorStack, ModelStack)


def text(value: Any) -> str:
    """An ARN with its references' names in braces."""
    match value:
        case {"Fn::Join": ["", parts]}:
            return "".join(map(text, parts))
        case {"Fn::GetAtt": [name, _]} | {"Ref": name} | {"Fn::ImportValue": name}:
            return f"{{{name}}}"
    return str(value)


def referred(value: Any) -> str:
    """The logical id that an id refers to, across stacks too; an id as it is."""
    name = text(value).strip("{}")
    _, export, rest = name.partition(":ExportsOutput")
    if not export:
        return name
    rest = rest.removeprefix("Ref").removeprefix("FnGetAtt")
    # The CDK adds the attribute and eight hex digits.
    return rest[:-8].removesuffix("GroupId")


def endpoints(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By service."""
    found = properties(template, ENDPOINT)
    return {each["ServiceName"].split(".", 3)[3]: each for each in found}


def policies(template: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The statements of each endpoint's policy, by service."""
    return {
        service: each["PolicyDocument"]["Statement"]
        for service, each in endpoints(template).items()
    }


def test_nothing_leads_to_the_internet(private: Templates) -> None:
    types = {r["Type"] for t in private.values() for r in t["Resources"].values()}
    assert {each for each in types if each.startswith("AWS::EC2::")} == {
        "AWS::EC2::FlowLog",
        "AWS::EC2::RouteTable",
        GROUP,
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        ENDPOINT,
    }
    for template in private.values():
        assert "0.0.0.0/0" not in json.dumps(template)
        assert "::/0" not in json.dumps(template)
    assert {
        s["MapPublicIpOnLaunch"] for s in properties(private["Foundation"], "AWS::EC2::Subnet")
    } == {False}


def test_every_function_model_and_job_runs_in_it(private: Templates) -> None:
    subnets = {*of_type(private["Foundation"], "AWS::EC2::Subnet")}
    assert len(subnets) == 2
    found = 0
    for template in private.values():
        models = properties(template, "AWS::SageMaker::Model")
        jobs = [b["TrainingJob"] for b in properties(template, "Custom::Bake")]
        assert all(each["EnableNetworkIsolation"] for each in [*models, *jobs])
        for group, runs, key in (
            ("NetworkGroupFunctions", properties(template, FUNCTION), "SubnetIds"),
            ("NetworkGroupModels", [*models, *jobs], "Subnets"),
        ):
            for each in runs:
                found += 1
                assert {referred(s) for s in each["VpcConfig"][key]} == subnets
                (named,) = each["VpcConfig"]["SecurityGroupIds"]
                assert referred(named).startswith(group)
    assert found == 8 + 1 + 1  # a transform job runs where its model does


def test_the_bakes_workflow_hands_the_network_on(private: Templates) -> None:
    """It names each field of the request, and would drop another."""
    definitions = [
        text(machine["DefinitionString"])
        for machine in properties(private["Model"], "AWS::StepFunctions::StateMachine")
    ]
    (job,) = (json.loads(d)["States"]["CreateTrainingJob"] for d in definitions)
    assert job["Parameters"]["VpcConfig.$"] == "$.training_job.VpcConfig"


def test_functions_of_other_stages_run_in_no_vpc(templates: Callable[[str], Templates]) -> None:
    for template in templates("dev").values():
        assert not any("VpcConfig" in f for f in properties(template, FUNCTION))
        assert not any(r["Type"].startswith("AWS::EC2::") for r in template["Resources"].values())


def reaches(template: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(from, to, port) of every rule of the security groups."""

    def short(value: Any) -> str:
        return referred(value).removeprefix("NetworkGroup").rstrip("0123456789ABCDEF") or "?"

    def port(rule: dict[str, Any]) -> str:
        assert rule["FromPort"] == rule["ToPort"] or rule["IpProtocol"] == "icmp"
        return f"{rule['IpProtocol']} {rule['ToPort']}"

    found = set()
    for name, group in of_type(template, GROUP).items():
        values = group["Properties"]
        for rule in values["SecurityGroupEgress"]:
            to = rule.get("DestinationPrefixListId") or rule["CidrIp"]
            found.add((short(name), to, port(rule)))
        for rule in values.get("SecurityGroupIngress", []):
            found.add((rule["CidrIp"], short(name), port(rule)))
    for rule in properties(template, "AWS::EC2::SecurityGroupEgress"):
        found.add((short(rule["GroupId"]), short(rule["DestinationSecurityGroupId"]), port(rule)))
    for rule in properties(template, "AWS::EC2::SecurityGroupIngress"):
        back = short(rule["SourceSecurityGroupId"]), short(rule["GroupId"]), port(rule)
        assert back in found  # both ends name each other
    return found


def test_who_may_reach_whom(foundation: dict[str, Any]) -> None:
    """The table of docs/network.md."""
    nowhere = "255.255.255.255/32", "icmp 86"
    assert reaches(foundation) == {
        ("Functions", "Endpoints", "tcp 443"),
        ("Functions", "pl-63a5400a", "tcp 443"),
        ("Models", "pl-63a5400a", "tcp 443"),
        ("10.0.0.0/20", "Api", "tcp 443"),
        ("Endpoints", *nowhere),
        ("Api", *nowhere),
    }


def test_an_endpoint_for_each_service_that_is_called(foundation: dict[str, Any]) -> None:
    found = endpoints(foundation)
    assert {*found} == {
        "cloudformation",
        "execute-api",
        "logs",
        "s3",
        "sagemaker.api",
        "sagemaker.runtime",
        "ssm",
        "states",
    }
    assert {*found["s3"]["RouteTableIds"][0].values()} == {
        *of_type(foundation, "AWS::EC2::RouteTable")
    }
    for service, each in found.items():
        assert each["VpcEndpointType"] == ("Gateway" if service == "s3" else "Interface")
        assert service == "s3" or each["PrivateDnsEnabled"] is True


def test_no_logs_endpoint_where_no_questions_are_kept() -> None:
    settings = changed("private", search={"keep_unanswered": False})
    assert "logs" not in endpoints(some_templates_of(settings)["Foundation"])


def test_each_endpoint_lets_pass_this_account_alone(foundation: dict[str, Any]) -> None:
    """But for what others have signed, and for callers of the API who need no principal."""
    anyone = set()
    account = {"Ref": "AWS::AccountId"}
    for service, found in policies(foundation).items():
        assert found
        for statement in found:
            assert statement["Effect"] == "Allow"
            assert listed(statement["Resource"]) != ["*"]
            assert not any("*" in action for action in listed(statement["Action"]))
            condition = statement.get("Condition", {}).get("StringEquals", {})
            if condition.get("aws:PrincipalAccount") != account:
                anyone.add((service, statement["Sid"]))
            elif service != "s3" or statement["Sid"] != "JumpStart":
                assert condition["aws:ResourceAccount"] == account
    assert anyone == {
        ("execute-api", "Apis"),
        ("s3", "AnswersToCloudFormation"),
        ("s3", "ImageLayers"),
    }


def calls(private: Templates) -> Iterator[tuple[str, str]]:
    """(service of the endpoint, action) of what functions call, and SageMaker of S3."""
    for template in private.values():
        roles = {f["Role"]["Fn::GetAtt"][0] for f in properties(template, FUNCTION)}
        policy_of = {
            name: each["Properties"]["Roles"][0]["Ref"]
            for name, each in of_type(template, "AWS::IAM::Policy").items()
        }
        for owner, statement in statements(template):
            if statement["Effect"] == "Deny":
                continue
            of_function = policy_of.get(owner, owner) in roles
            for action in listed(statement["Action"]):
                own_log = not any("Unanswered" in text(r) for r in listed(statement["Resource"]))
                if of_function and not action.startswith(BY_SERVICES):
                    prefix = action.partition(":")[0]
                    if prefix == "logs" and own_log:
                        continue  # Lambda itself writes a function's log
                    door = "sagemaker.runtime" if "Invoke" in action else DOORS[prefix]
                    yield door, action
                elif owner.startswith("ExecutionRole") and action.startswith("s3:"):
                    yield "s3", action


def passes(private: Templates) -> set[tuple[str, str]]:
    """(service, action) of what the endpoints' policies let pass."""
    return {
        (service, action)
        for service, found in policies(private["Foundation"]).items()
        for statement in found
        for action in listed(statement["Action"])
        if service != "execute-api"
    }


def test_what_is_granted_has_a_door_and_each_door_is_needed(private: Templates) -> None:
    assert set(calls(private)) == passes(private)


def test_what_is_granted_has_a_door_where_nothing_is_emptied() -> None:
    found = templates_of(changed("private", removal_policy="retain"))
    assert set(calls(found)) == passes(found)


def test_what_s3s_endpoint_leads_to(foundation: dict[str, Any]) -> None:
    found = {s["Sid"]: s for s in policies(foundation)["s3"]}
    resources = {sid: [text(r) for r in listed(s["Resource"])] for sid, s in found.items()}
    assert resources["AnswersToCloudFormation"] == [
        # Without dashes, as CloudFormation names it.
        "arn:{AWS::Partition}:s3:::cloudformation-custom-resource-response-useast1/*".replace(
            "{AWS::Partition}", "aws"
        )
    ]
    assert found["AnswersToCloudFormation"]["Action"] == "s3:PutObject"
    assert resources["ImageLayers"] == ["arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"]
    assert resources["JumpStart"][0] == "arn:aws:s3:::jumpstart-cache-prod-us-east-1"
    assert resources["JumpStart"][1].startswith("arn:aws:s3:::jumpstart-cache-prod-us-east-1/hug")
    assert resources["Published"] == [
        "arn:aws:s3:::cdk-hnb659fds-assets-{AWS::AccountId}-us-east-1",
        "arn:aws:s3:::cdk-hnb659fds-assets-{AWS::AccountId}-us-east-1/faq-search/private/*",
    ]
    own = {name for r in resources["OwnObjects"] for name in [r.strip("{}/*")]}
    assert {name.rstrip("0123456789ABCDEF") for name in own} == {
        "StorageArtifacts",
        "StorageBatch",
    }


def test_a_kept_stage_lets_nothing_be_deleted_and_named_places_be_read() -> None:
    settings = changed(
        "private",
        removal_policy="retain",
        batch={"input_locations": ["s3://elsewhere/faq/"]},
        region="eu-west-1",
        network={"availability_zones": ["eu-west-1a", "eu-west-1b", "eu-west-1c"]},
    )
    template = some_templates_of(settings)["Foundation"]
    found = {s["Sid"]: s for s in policies(template)["s3"]}
    assert not {"Emptying", "Deleting"} & {*found}
    assert found["Named"]["Resource"] == "arn:aws:s3:::elsewhere/faq/*"
    assert "response-euwest1/*" in found["AnswersToCloudFormation"]["Resource"]
    zones = [s["AvailabilityZone"] for s in properties(template, "AWS::EC2::Subnet")]
    assert zones == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]


def test_buckets_are_emptied_while_the_network_is_there(foundation: dict[str, Any]) -> None:
    for emptying in of_type(foundation, "Custom::EmptyBucket").values():
        assert {*of_type(foundation, ENDPOINT)} <= {*emptying["DependsOn"]}


def test_flow_logs_are_encrypted_and_expire(foundation: dict[str, Any]) -> None:
    (log,) = properties(foundation, "AWS::EC2::FlowLog")
    assert (log["TrafficType"], log["ResourceType"]) == ("ALL", "VPC")
    group = foundation["Resources"][log["LogGroupName"]["Ref"]]["Properties"]
    assert group["RetentionInDays"] == 90
    (key,) = of_type(foundation, "AWS::KMS::Key").items()
    assert group["KmsKeyId"]["Fn::GetAtt"][0] == key[0]
    # CloudFormation names the group after the stack.
    statements_of_key = key[1]["Properties"]["KeyPolicy"]["Statement"]
    patterns = [
        text(arn)
        for statement in statements_of_key
        for arn in listed(
            statement.get("Condition", {})
            .get("ArnLike", {})
            .get("kms:EncryptionContext:aws:logs:arn", [])
        )
    ]
    named = "arn:aws:logs:us-east-1:{AWS::AccountId}:log-group:FaqSearch-private-Foundation-Logs-1"
    assert any(fnmatchcase(named, pattern) for pattern in patterns)


def test_only_lambda_itself_handles_network_interfaces(private: Templates) -> None:
    for template in private.values():
        for owner, statement in statements(template):
            actions = [a for a in listed(statement["Action"]) if a.startswith("ec2:")]
            if not actions or owner.startswith("ExecutionRole"):
                continue
            others = [s for name, s in statements(template) if name == owner]
            denied = [s for s in others if s["Effect"] == "Deny"]
            assert [(s["Action"], s["Condition"]) for s in denied] == [
                (actions, {"Null": {"lambda:SourceFunctionArn": "false"}})
            ]


def test_a_private_api_answers_one_endpoint(private: Templates) -> None:
    (api,) = properties(private["FrontDoor"], "AWS::ApiGateway::RestApi")
    assert api["EndpointConfiguration"]["Types"] == ["PRIVATE"]
    (endpoint,) = api["EndpointConfiguration"]["VpcEndpointIds"]
    assert referred(endpoint).startswith("NetworkEndpointexecuteapi")
    elsewhere, others, account, anyone = api["Policy"]["Statement"]
    assert elsewhere["Effect"] == others["Effect"] == "Deny"
    assert elsewhere["Resource"] == "execute-api:/v1/*"
    assert elsewhere["Condition"] == {"StringNotEquals": {"aws:SourceVpce": endpoint}}
    own = [{"Ref": "AWS::AccountId"}]
    assert others["Condition"] == {"StringNotEquals": {"aws:PrincipalAccount": own}}
    # Anyone would be every principal of the account, whatever IAM lets it do.
    assert ":root" in json.dumps(account["Principal"])
    assert anyone["Resource"] == ["execute-api:/v1/GET/console", "execute-api:/v1/GET/console/*"]


def test_a_private_api_lets_the_accounts_in_that_the_settings_allow() -> None:
    settings = changed("private", api={"allowed_accounts": ["111122223333"]})
    template = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    (api,) = properties(template, "AWS::ApiGateway::RestApi")
    elsewhere, others, account, _ = api["Policy"]["Statement"]
    assert "aws:SourceVpce" in json.dumps(elsewhere)
    assert "111122223333" in json.dumps(others["Condition"])
    assert "111122223333" in json.dumps(account["Principal"])


def test_a_private_api_may_answer_more_endpoints() -> None:
    others = ["vpce-0123456789abcdef0", "vpce-0123456789abcdef1"]
    settings = changed("private", api={"allowed_vpc_endpoints": others})
    template = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    (api,) = properties(template, "AWS::ApiGateway::RestApi")
    (own,) = api["EndpointConfiguration"]["VpcEndpointIds"]
    refused = api["Policy"]["Statement"][0]
    assert refused["Condition"] == {"StringNotEquals": {"aws:SourceVpce": [own, *others]}}


@pytest.mark.parametrize("auth", ["api_key", "jwt"])
def test_a_private_api_for_callers_without_a_principal(auth: str) -> None:
    jwk = {"kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB"}
    jwt = {"issuer": "https://issuer.example", "audience": ["faq"], "jwks": [jwk]}
    settings = changed("private", api={"auth": auth, "jwt": jwt})
    template = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    (api,) = properties(template, "AWS::ApiGateway::RestApi")
    _, anyone = api["Policy"]["Statement"]
    assert anyone["Principal"] == {"AWS": "*"}
    assert anyone["Resource"] == "execute-api:/v1/*"


def test_an_existing_vpc_is_taken_by_its_ids() -> None:
    found = existing()
    template = found["Foundation"]
    types = {r["Type"] for r in template["Resources"].values()}
    assert not types & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::RouteTable"}
    assert {each["VpcId"] for each in properties(template, ENDPOINT)} == {EXISTING["vpc_id"]}
    assert endpoints(template)["s3"]["RouteTableIds"] == EXISTING["route_table_ids"]
    for function in properties(found["FrontDoor"], FUNCTION):
        assert function["VpcConfig"]["SubnetIds"] == EXISTING["subnet_ids"]
    (api,) = properties(found["FrontDoor"], "AWS::ApiGateway::RestApi")
    assert api["EndpointConfiguration"]["Types"] == ["REGIONAL"]


def test_endpoints_that_are_there_are_not_made_again() -> None:
    group = "sg-0123456789abcdef0"
    there = ["s3", "ssm", "states", "cloudformation"]
    template = existing(endpoints=there, endpoint_security_group_id=group)["Foundation"]
    assert {*endpoints(template)} == {"logs", "sagemaker.api", "sagemaker.runtime"}
    rules = properties(template, "AWS::EC2::SecurityGroupIngress")
    assert group in [rule["GroupId"] for rule in rules]
    egress = properties(template, "AWS::EC2::SecurityGroupEgress")
    assert group in [rule["DestinationSecurityGroupId"] for rule in egress]


def test_more_endpoints_let_the_account_pass() -> None:
    settings = changed("private", network={"more_endpoints": ["ecr.api", "monitoring", "ssm"]})
    found = policies(some_templates_of(settings)["Foundation"])
    assert [s["Action"] for s in found["ecr.api"]] == ["ecr:*"]
    assert [s["Action"] for s in found["monitoring"]] == ["cloudwatch:*"]
    assert [s["Action"] for s in found["ssm"]] == ["ssm:GetParameter"]
    assert all("aws:PrincipalAccount" in json.dumps(s["Condition"]) for s in found["ecr.api"])


def test_synth_twice_gives_the_same(foundation: dict[str, Any]) -> None:
    assert some_templates_of(changed("private"))["Foundation"]["Resources"].items() <= (
        foundation["Resources"].items()
    )
