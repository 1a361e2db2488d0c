"""AWS WAF before the API: off by default; it counts what it finds in bodies, and logs no text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stacks.front_door.stack import FrontDoorStack
from tests.support.synthesis import Templates, changed, of_type, properties, some_templates_of

ACL, LOGGING = "AWS::WAFv2::WebACL", "AWS::WAFv2::LoggingConfiguration"
ASSOCIATION = "AWS::WAFv2::WebACLAssociation"
# As AWS's documentation of its managed rules lists them.
RULES_ON_BODIES = {
    "AWSManagedRulesAmazonIpReputationList": set(),
    "AWSManagedRulesKnownBadInputsRuleSet": {
        "JavaDeserializationRCE_BODY",
        "Log4JRCE_BODY",
        "ReactJSRCE_BODY",
    },
    "AWSManagedRulesCommonRuleSet": {
        "CrossSiteScripting_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "SizeRestrictions_BODY",
    },
}
SECRET_HEADERS = {"authorization", "cookie", "x-amz-security-token", "x-api-key"}


@pytest.fixture
def front_door(everything: Templates) -> dict[str, Any]:
    return everything["FrontDoor"]


def acl_of(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = properties(template, ACL)
    return found


def test_there_is_none_unless_the_settings_want_one(stage_templates: Templates) -> None:
    for template in stage_templates.values():
        types = {resource["Type"] for resource in template["Resources"].values()}
        assert not [name for name in types if name.startswith("AWS::WAFv2")]


def test_it_stands_before_the_apis_stage(front_door: dict[str, Any]) -> None:
    (association,) = properties(front_door, ASSOCIATION)
    (stage,) = of_type(front_door, "AWS::ApiGateway::Stage")
    assert association["ResourceArn"]["Fn::Join"][1][-1] == {"Ref": stage}
    acl = association["WebACLArn"]["Fn::GetAtt"][0]
    assert front_door["Resources"][acl]["Properties"]["Scope"] == "REGIONAL"


def test_no_rule_refuses_a_request_for_its_body(front_door: dict[str, Any]) -> None:
    """A text about an attack looks like one, and 5 MB of texts are permitted."""
    acl = acl_of(front_door)
    assert acl["DefaultAction"] == {"Allow": {}}
    counting = {}
    for rule in acl["Rules"]:
        (kind,) = rule["Statement"]
        if kind == "ManagedRuleGroupStatement":
            group = rule["Statement"][kind]
            assert group["VendorName"] == "AWS"
            assert rule["OverrideAction"] == {"None": {}}  # the other rules refuse
            overrides = group.get("RuleActionOverrides", [])
            assert all(override["ActionToUse"] == {"Count": {}} for override in overrides)
            counting[group["Name"]] = {override["Name"] for override in overrides}
        else:
            assert kind == "RateBasedStatement"  # which looks at the address alone
    assert counting == RULES_ON_BODIES


def test_an_address_has_a_rate_and_is_told_to_wait_above_it(front_door: dict[str, Any]) -> None:
    acl = acl_of(front_door)
    (rule,) = (r for r in acl["Rules"] if "RateBasedStatement" in r["Statement"])
    assert rule["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP",
        "EvaluationWindowSec": 300,
        "Limit": 1000,
    }
    assert rule["Priority"] == min(r["Priority"] for r in acl["Rules"])
    response = rule["Action"]["Block"]["CustomResponse"]
    assert response["ResponseCode"] == 429
    body = acl["CustomResponseBodies"][response["CustomResponseBodyKey"]]
    assert body["ContentType"] == "APPLICATION_JSON"
    assert json.loads(body["Content"])["code"] == "throttled"


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        ([], None),
        (["https://a.example"], "https://a.example"),
        (["https://a.example", "https://b.example"], "*"),
    ],
)
def test_pages_that_may_ask_may_read_that_there_were_too_many(
    origins: list[str], allowed: str | None
) -> None:
    settings = changed("dev", api={"waf": {}, "cors_origins": origins})
    acl = acl_of(some_templates_of(settings, FrontDoorStack)["FrontDoor"])
    response = acl["Rules"][0]["Action"]["Block"]["CustomResponse"]
    header = {"Name": "Access-Control-Allow-Origin", "Value": allowed}
    assert response.get("ResponseHeaders") == (None if allowed is None else [header])
    assert acl["Rules"][0]["Statement"]["RateBasedStatement"]["Limit"] == 2000


def test_the_gateway_says_in_our_json_that_a_rule_refused(front_door: dict[str, Any]) -> None:
    (refusal,) = (
        values
        for values in properties(front_door, "AWS::ApiGateway::GatewayResponse")
        if values["ResponseType"] == "WAF_FILTERED"
    )
    assert refusal["StatusCode"] == "403"
    assert json.loads(refusal["ResponseTemplates"]["application/json"])["code"] == "forbidden"


def test_the_log_has_what_was_refused_or_counted_and_no_secret(front_door: dict[str, Any]) -> None:
    (logging,) = properties(front_door, LOGGING)
    (destination,) = logging["LogDestinationConfigs"]
    ending = destination["Fn::Join"][1][-1]
    # Both are AWS WAF's conditions.
    assert ending.startswith(":log-group:aws-waf-logs-")
    assert not ending.endswith("*")
    (group,) = (
        name
        for name, found in of_type(front_door, "AWS::Logs::LogGroup").items()
        if ending.endswith(f":{found['Properties'].get('LogGroupName')}")
    )
    (made,) = of_type(front_door, LOGGING).values()
    assert group in made["DependsOn"]
    assert logging["LoggingFilter"]["DefaultBehavior"] == "DROP"
    redacted = logging["RedactedFields"]
    headers = {field["SingleHeader"]["Name"] for field in redacted if "SingleHeader" in field}
    assert headers == SECRET_HEADERS
    assert {"QueryString": {}} in redacted


def test_nothing_that_a_rule_found_in_a_body_is_kept(front_door: dict[str, Any]) -> None:
    """A log of a match would quote it, and redaction does not reach there."""
    acl = acl_of(front_door)
    protected = acl["DataProtectionConfig"]["DataProtections"]
    fields = {each["Field"]["FieldType"]: each for each in protected}
    assert fields.keys() == {"BODY", "QUERY_STRING", "SINGLE_HEADER"}
    assert set(fields["SINGLE_HEADER"]["Field"]["FieldKeys"]) == SECRET_HEADERS
    for each in protected:
        assert each["Action"] == "SUBSTITUTION"
        assert "ExcludeRuleMatchDetails" not in each
    shown = [acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in acl["Rules"])]
    assert {each["SampledRequestsEnabled"] for each in shown} == {False}
