"""Who may do what on a running local AWS, asked as any client asks."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.iam.mutation import Mutation, Permission
from local_aws.iam.report import Reasons, read, render
from local_aws.server import LocalAws
from tests.support.access import ACCOUNT, EVERYTHING, document, local_aws, make_role, role_session
from tests.support.gateway import create_function, zipped

READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::guarded/open/*"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        s3 = started.context.client("s3")
        s3.create_bucket(Bucket="guarded")
        s3.put_object(Bucket="guarded", Key="open/a", Body=b"a")
        yield started


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of a refusal."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_each_service_words_a_refusal_in_its_own_form(aws: LocalAws) -> None:
    client = role_session(aws, READ, name="reader")
    me = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/reader/me is not authorized to perform: "
    assert client("s3").get_object(Bucket="guarded", Key="open/a")["Body"].read() == b"a"
    assert refusal(client("s3").get_object, Bucket="guarded", Key="b") == (
        "AccessDenied",
        f'{me}s3:GetObject on resource: "arn:aws:s3:::guarded/b" because no identity-based policy '
        "allows the s3:GetObject action",
    )
    for service, call, arguments, code, action, resource in (
        (
            "ssm",
            "get_parameter",
            {"Name": "/p"},
            "AccessDeniedException",
            "ssm:GetParameter",
            f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/p",
        ),
        (
            "lambda",
            "invoke",
            {"FunctionName": "f"},
            "AccessDeniedException",
            "lambda:InvokeFunction",
            f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f",
        ),
        ("iam", "list_roles", {}, "AccessDenied", "iam:ListRoles", "*"),
        (
            "apigateway",
            "get_rest_apis",
            {},
            "AccessDeniedException",
            "apigateway:GET",
            "arn:aws:apigateway:us-east-1::/restapis",
        ),
    ):
        assert refusal(getattr(client(service), call), **arguments) == (
            code,
            f"{me}{action} on resource: {resource} because no identity-based policy allows the "
            f"{action} action",
        )


def test_sts_knows_who_calls(aws: LocalAws) -> None:
    found = aws.context.client("sts").get_caller_identity()
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/administrator"


def test_a_change_of_a_policy_holds_at_once(aws: LocalAws) -> None:
    client = role_session(aws, READ, name="changing")("s3")
    client.get_object(Bucket="guarded", Key="open/a")
    make_role(aws.context, "changing", {"AWS": ACCOUNT}, statements=[{**READ, "Effect": "Deny"}])
    assert "explicit deny" in refusal(client.get_object, Bucket="guarded", Key="open/a")[1]


def test_a_role_is_assumed_only_by_whom_it_trusts(aws: LocalAws) -> None:
    sts = aws.context.client("sts")
    role = make_role(aws.context, "for-lambda", {"Service": "lambda.amazonaws.com"})
    assumed = {"RoleArn": role, "RoleSessionName": "me"}
    assert "no role trust policy" in refusal(sts.assume_role, **assumed)[1]
    # The account is trusted, but this role has no permission of its own.
    target = {**assumed, "RoleArn": make_role(aws.context, "target", {"AWS": ACCOUNT})}
    reader = role_session(aws, READ)("sts")
    assert "no identity-based policy" in refusal(reader.assume_role, **target)[1]
    trusted = f"arn:aws:iam::{ACCOUNT}:role/named"
    client = role_session(aws, READ, name="named")("sts")
    named = {**assumed, "RoleArn": make_role(aws.context, "by-name", {"AWS": trusted})}
    assert client.assume_role(**named)["Credentials"]


@pytest.mark.parametrize(
    "more", [{"Policy": "{}"}, {"Tags": [{"Key": "a", "Value": "b"}]}], ids=["policy", "tags"]
)
def test_sessions_that_would_be_limited_are_refused_by_name(aws: LocalAws, more: Any) -> None:
    role = make_role(aws.context, "limited", {"AWS": ACCOUNT})
    assume = aws.context.client("sts").assume_role
    assert (
        "does not evaluate session"
        in refusal(assume, RoleArn=role, RoleSessionName="me", **more)[1]
    )


def test_permissions_boundaries_are_refused_by_name(aws: LocalAws) -> None:
    create = aws.context.client("iam").create_role
    bounded = {"RoleName": "b", "AssumeRolePolicyDocument": document()}
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    assert "permissions boundaries" in refusal(create, PermissionsBoundary=boundary, **bounded)[1]


def test_a_role_is_passed_only_where_allowed_and_to_a_service_that_it_trusts(aws: LocalAws) -> None:
    function = make_role(aws.context, "function", {"Service": "lambda.amazonaws.com"})
    request = {
        "FunctionName": "passed",
        "Runtime": "python3.13",
        "Role": function,
        "Handler": "handler.handler",
        "Code": {"ZipFile": zipped({"handler.py": ""})},
    }
    create = {"Effect": "Allow", "Action": "lambda:CreateFunction", "Resource": "*"}
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": function}

    def only_to(service: str) -> dict[str, Any]:
        return {**passing, "Condition": {"StringEquals": {"iam:PassedToService": service}}}

    def make(*statements: Any) -> Any:
        return role_session(aws, create, *statements)("lambda").create_function

    assert f"iam:PassRole on resource: {function}" in refusal(make(), **request)[1]
    assert "iam:PassRole" in refusal(make(only_to("states.amazonaws.com")), **request)[1]
    make(only_to("lambda.amazonaws.com"))(**request)
    other = make_role(aws.context, "sagemaker", {"Service": "sagemaker.amazonaws.com"})
    assert "sts:AssumeRole" in refusal(make(EVERYTHING), **{**request, "Role": other})[1]


def test_objects_in_an_encrypted_bucket_need_the_key(aws: LocalAws) -> None:
    s3, kms = aws.context.client("s3"), aws.context.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="encrypted")
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    }
    s3.put_bucket_encryption(
        Bucket="encrypted", ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    objects = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    item = {"Bucket": "encrypted", "Key": "k"}

    def by_key(*actions: str) -> Any:
        names = [f"kms:{action}" for action in actions]
        via = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
        grant = {"Effect": "Allow", "Action": names, "Resource": key, "Condition": via}
        return role_session(aws, objects, *([grant] if actions else []))("s3")

    assert f"kms:GenerateDataKey on resource: {key}" in refusal(by_key().put_object, **item)[1]
    by_key("GenerateDataKey").put_object(Body=b"x", **item)
    assert "kms:Decrypt" in refusal(by_key("GenerateDataKey").get_object, **item)[1]
    assert by_key("Decrypt").get_object(**item)["Body"].read() == b"x"
    # The key itself can refuse everybody but those whom it names.
    named = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/keeper"}
    only = document({"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": named})
    keeper = role_session(aws, objects, name="keeper")("s3")
    everything = role_session(aws, EVERYTHING)("s3")
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=only)
    assert "no resource-based policy" in refusal(everything.get_object, **item)[1]
    assert keeper.get_object(**item)["Body"].read() == b"x"


def test_a_log_groups_key_lets_the_service_use_it_for_that_group(aws: LocalAws) -> None:
    """Whoever writes or reads; by itself a key's policy lets only its account decide."""
    kms, logs = aws.context.client("kms"), aws.context.client("logs")
    group = {"logGroupName": "/kept", "kmsKeyId": kms.create_key()["KeyMetadata"]["Arn"]}
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/kept"
    refused = (
        "AccessDeniedException",
        f"The specified KMS key does not exist or is not allowed to be used with Arn '{arn}'",
    )

    def let(*actions: str, of: str = arn) -> None:
        account = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
            "Action": list(actions),
            "Resource": "*",
            "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": of}},
        }
        policy = document(statement, {**EVERYTHING, "Principal": account})
        kms.put_key_policy(KeyId=group["kmsKeyId"], PolicyName="default", Policy=policy)

    assert refusal(logs.create_log_group, **group) == refused
    let("kms:GenerateDataKey*", "kms:Decrypt*", of=f"{arn}-of-others")
    assert refusal(logs.create_log_group, **group) == refused
    let("kms:GenerateDataKey*", "kms:Decrypt*")
    logs.create_log_group(**group)
    add = [
        {"Effect": "Allow", "Action": f"logs:{action}", "Resource": f"{arn}:*"}
        for action in ("CreateLogStream", "PutLogEvents")
    ]
    writer = role_session(aws, *add)("logs")
    stream = {"logGroupName": "/kept", "logStreamName": "s"}
    line = {"timestamp": int(time.time() * 1000), "message": "x"}
    writer.create_log_stream(**stream)
    writer.put_log_events(logEvents=[line], **stream)
    assert "not authorized" in refusal(writer.filter_log_events, logGroupName="/kept")[1]
    assert logs.filter_log_events(logGroupName="/kept")["events"][0]["message"] == "x"
    let("kms:Decrypt*")
    assert refusal(writer.put_log_events, logEvents=[line], **stream) == refused
    let("kms:GenerateDataKey*")
    assert refusal(logs.filter_log_events, logGroupName="/kept") == refused


def test_a_bucket_can_refuse_everybody(aws: LocalAws) -> None:
    s3 = aws.context.client("s3")
    s3.create_bucket(Bucket="refusing")
    everybody = {"Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::refusing/*"}
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Effect": "Deny", **everybody}
    s3.put_bucket_policy(Bucket="refusing", Policy=document({**deny, "Condition": insecure}))
    s3.put_object(Bucket="refusing", Key="k", Body=b"")
    s3.put_bucket_policy(Bucket="refusing", Policy=document(deny))
    code, message = refusal(s3.put_object, Bucket="refusing", Key="k", Body=b"")
    assert (code, message.endswith("an explicit deny in a resource-based policy")) == (
        "AccessDenied",
        True,
    )


def test_a_function_has_the_permissions_of_its_role(aws: LocalAws) -> None:
    code = "import boto3\ndef handler(e, c): return boto3.client('s3').get_object(**e)['ETag']"
    role = make_role(aws.context, "narrow", {"Service": "lambda.amazonaws.com"}, statements=[READ])
    create_function(aws, "narrow", code, Role=role)
    invoke = aws.context.client("lambda").invoke

    def call(key: str) -> Any:
        payload = json.dumps({"Bucket": "guarded", "Key": key})
        return json.load(invoke(FunctionName="narrow", Payload=payload)["Payload"])

    assert call("open/a").startswith('"')
    assert (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/narrow/narrow is not authorized to perform: "
        's3:GetObject on resource: "arn:aws:s3:::guarded/other"' in call("other")["errorMessage"]
    )


INTERFACES = {
    "Effect": "Allow",
    "Action": [
        f"ec2:{action}NetworkInterface{plural}"
        for action, plural in (("Create", ""), ("Delete", ""), ("Describe", "s"))
    ],
    "Resource": "*",
}


def test_a_function_in_a_vpc_needs_a_role_that_may_make_network_interfaces(aws: LocalAws) -> None:
    lambda_ = {"Service": "lambda.amazonaws.com"}
    make = role_session(aws, EVERYTHING)("lambda").create_function
    request = {
        "FunctionName": "in-a-vpc",
        "Runtime": "python3.13",
        "Role": make_role(aws.context, "no-interfaces", lambda_, statements=[READ]),
        "Handler": "handler.handler",
        "Code": {"ZipFile": zipped({"handler.py": ""})},
        "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    }
    assert "ec2:CreateNetworkInterface" in refusal(make, **request)[1]
    able = make_role(aws.context, "interfaces", lambda_, statements=[INTERFACES])
    make(**{**request, "Role": able})


def test_a_policy_may_tell_a_functions_code_from_lambda_itself(aws: LocalAws) -> None:
    denied = {
        **READ,
        "Effect": "Deny",
        "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
    }
    role = make_role(
        aws.context,
        "denied-to-code",
        {"Service": "lambda.amazonaws.com"},
        statements=[READ, denied],
    )
    code = "import boto3\ndef handler(e, c): return boto3.client('s3').get_object(**e)['ETag']"
    create_function(aws, "denied-to-code", code, Role=role)
    payload = json.dumps({"Bucket": "guarded", "Key": "open/a"})
    answer = aws.context.client("lambda").invoke(FunctionName="denied-to-code", Payload=payload)
    assert "with an explicit deny" in json.load(answer["Payload"])["errorMessage"]
    assert role_session(aws, READ, denied)("s3").get_object(Bucket="guarded", Key="open/a")


def test_presigned_urls_have_the_permissions_of_their_signer(aws: LocalAws) -> None:
    client = role_session(aws, READ)("s3", signature_version="s3v4")

    def fetch(key: str) -> bytes:
        url = client.generate_presigned_url("get_object", {"Bucket": "guarded", "Key": key}, 60)
        return bytes(urllib.request.urlopen(url).read())

    assert fetch("open/a") == b"a"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetch("secret")
    url = client.generate_presigned_url("get_object", {"Bucket": "guarded", "Key": "open/a"}, 60)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("open/a", "open/b"))


def test_the_guardrail_denies_from_the_next_request_on(aws: LocalAws) -> None:
    file = aws.context.state_dir / "iam" / "guardrail.json"
    client = aws.context.client("s3")
    file.write_text(document({"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}))
    try:
        _, message = refusal(client.get_object, Bucket="guarded", Key="open/a")
        assert message.endswith("with an explicit deny in a service control policy")
    finally:
        file.unlink()
    assert client.get_object(Bucket="guarded", Key="open/a")


def test_the_report_names_what_was_used_and_what_was_not(aws: LocalAws) -> None:
    both = {**READ, "Action": ["s3:GetObject", "s3:PutObject"]}
    client = role_session(aws, both, name="reported")("s3")
    client.get_object(Bucket="guarded", Key="open/a")
    refusal(client.delete_object, Bucket="guarded", Key="open/a")
    file = aws.context.state_dir / "iam" / "decisions.jsonl"
    report = read([file], re.compile("^reported$"))
    grants = {g.action: dict(g.calls) for g in report.grants.values()}
    assert grants == {"s3:GetObject": {"s3:GetObject (s3.GetObject)": 1}, "s3:PutObject": {}}
    denied = {action for principal, action, _ in report.denied if "reported" in principal}
    assert denied == {"s3:DeleteObject"}
    assert Reasons({}).missing(report) == ["reported: s3:PutObject"]
    both_explained = Reasons({"reported": {"s3:PutObject": "Later.", "s3:GetObject": "Now."}})
    assert both_explained.missing(report) == []
    assert both_explained.superfluous(report) == ["reported: s3:GetObject"]
    assert Reasons({"reported": {"*": "Whatever."}}).superfluous(report) == []
    lines = list(render(report, both_explained))
    assert "    stays: Later." in lines
    assert lines[-1] == "has a reason, but is used: reported: s3:GetObject"


def test_denying_a_permission_shows_whether_something_needs_it(aws: LocalAws) -> None:
    both = {**READ, "Action": ["s3:GetObject", "s3:PutObject"]}
    client = role_session(aws, both, name="mutated")("s3")

    def read() -> None:
        client.get_object(Bucket="guarded", Key="open/a")

    def write_perhaps() -> None:
        with suppress(ClientError):
            client.put_object(Bucket="guarded", Key="open/m", Body=b"")

    parts = {"read": read, "write": write_perhaps}
    mutation = Mutation(aws.context.state_dir, ACCOUNT, parts)
    list(mutation.observe())
    reading, writing = (Permission("mutated", f"s3:{name}Object") for name in ("Get", "Put"))
    assert mutation.permissions() == [reading, writing]
    noticed, unnoticed = sorted(
        mutation.deny(mutation.permissions()), key=lambda each: each.permission
    )
    assert (noticed.permission, noticed.survived, noticed.named) == (reading, False, True)
    assert (unnoticed.permission, unnoticed.survived, unnoticed.refused) == (writing, True, True)
    read()


def test_a_failure_that_stays_without_the_denial_does_not_count(aws: LocalAws) -> None:
    client = role_session(aws, READ, name="spoilt")("s3")
    worked = True

    def read() -> None:
        nonlocal worked
        assert worked
        try:
            client.get_object(Bucket="guarded", Key="open/a")
        except ClientError:
            worked = False
            raise

    mutation = Mutation(aws.context.state_dir, ACCOUNT, {"read": read})
    list(mutation.observe())
    (outcome,) = mutation.deny(mutation.permissions())
    assert outcome.survived
    assert "WITHOUT THE DENIAL" in str(outcome)


def test_what_is_not_there_is_refused_to_who_may_not_list(aws: LocalAws) -> None:
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::guarded"}
    absent = {"Bucket": "guarded", "Key": "open/absent"}
    message = refusal(role_session(aws, READ)("s3").get_object, **absent)
    assert 's3:ListBucket on resource: "arn:aws:s3:::guarded"' in message[1]
    knowing = role_session(aws, READ, listing)("s3")
    assert refusal(knowing.get_object, **absent)[0] == "NoSuchKey"
    assert refusal(knowing.head_object, **absent)[0] == "404"
    assert refusal(role_session(aws, READ)("s3").head_object, **absent)[0] == "403"


def test_policies_are_simulated(aws: LocalAws) -> None:
    tagged = {"StringEquals": {"aws:RequestTag/a": "b"}}
    role = make_role(
        aws.context,
        "simulated",
        {"AWS": ACCOUNT},
        statements=[
            READ,
            {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
            {"Effect": "Allow", "Action": "sqs:CreateQueue", "Resource": "*", "Condition": tagged},
        ],
    )
    simulate = aws.context.client("iam").simulate_principal_policy

    def decisions(*actions: str, **more: Any) -> dict[tuple[str, str], str]:
        found = simulate(PolicySourceArn=role, ActionNames=actions, **more)["EvaluationResults"]
        return {(r["EvalActionName"], r["EvalResourceName"]): r["EvalDecision"] for r in found}

    arn, other = "arn:aws:s3:::guarded/open/a", "arn:aws:s3:::guarded/b"
    assert decisions("s3:GetObject", "s3:DeleteObject", ResourceArns=[arn, other]) == {
        ("s3:GetObject", arn): "allowed",
        ("s3:GetObject", other): "implicitDeny",
        ("s3:DeleteObject", arn): "explicitDeny",
        ("s3:DeleteObject", other): "explicitDeny",
    }
    (result,) = simulate(PolicySourceArn=role, ActionNames=["sqs:CreateQueue"])["EvaluationResults"]
    assert (result["EvalDecision"], result["MissingContextValues"]) == (
        "implicitDeny",
        ["aws:requesttag/a"],
    )
    context = {
        "ContextKeyName": "aws:RequestTag/a",
        "ContextKeyType": "string",
        "ContextKeyValues": ["b"],
    }
    assert decisions("sqs:CreateQueue", ContextEntries=[context]) == {
        ("sqs:CreateQueue", "*"): "allowed"
    }
    absent = role.replace("simulated", "absent")
    assert refusal(simulate, PolicySourceArn=absent, ActionNames=["s3:GetObject"])[0] == (
        "NoSuchEntity"
    )
    code, message = refusal(
        simulate, PolicySourceArn=role, ActionNames=["s3:GetObject"], ResourceOwner="x"
    )
    assert (code, message) == (
        "InvalidInput",
        "The local AWS does not evaluate ResourceOwner in a simulation",
    )


def test_an_operation_that_moto_lacks_is_unknown(aws: LocalAws) -> None:
    scaling = aws.context.client("application-autoscaling")
    assert refusal(scaling.describe_scaling_activities, ServiceNamespace="sagemaker") == (
        "UnknownOperationException",
        "The local AWS has no operation DescribeScalingActivities",
    )
