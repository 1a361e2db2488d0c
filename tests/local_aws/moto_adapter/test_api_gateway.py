"""What the patches of moto's API Gateway rely on."""

from __future__ import annotations

from local_aws import moto_adapter
from tests.support.gateway import Api

MOCK = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}


def test_a_deployment_keeps_the_api_as_it_was(aws):
    api = Api(aws, "kept")
    api.method("GET", "/a", None, MOCK, apiKeyRequired=True)
    api.client.put_gateway_response(restApiId=api.id, responseType="THROTTLED", statusCode="430")
    api.deploy()
    api.method("GET", "/later", None, MOCK)
    api.client.delete_gateway_response(restApiId=api.id, responseType="THROTTLED")
    snapshot = moto_adapter.find_deployed_stage(api.id, "test").snapshot
    by_path = {resource["path"]: resource for resource in snapshot["resources"]}
    assert set(by_path) == {"/", "/a"}
    method = by_path["/a"]["methods"]["GET"]
    assert method["apiKeyRequired"] is True
    assert method["methodIntegration"]["type"] == "MOCK"
    assert snapshot["gatewayResponses"]["THROTTLED"]["statusCode"] == "430"


def test_a_stage_is_found_with_its_settings_and_an_absent_one_is_not(aws):
    api = Api(aws, "staged")
    api.method("GET", "/", None, MOCK)
    api.deploy()
    api.patch_stage(
        ("/*/*/throttling/rateLimit", "2.5"),
        ("/accessLogSettings/format", "$context.requestId"),
    )
    stage = moto_adapter.find_deployed_stage(api.id, "test")
    assert (stage.region, stage.account_id) == ("us-east-1", "123456789012")
    assert stage.method_settings["*/*"]["throttlingRateLimit"] == 2.5
    assert stage.access_log["format"] == "$context.requestId"
    assert moto_adapter.find_deployed_stage(api.id, "absent") is None
    assert moto_adapter.find_deployed_stage("absent", "test") is None


def test_limits_of_a_usage_plan_can_be_updated(aws):
    client = aws.context.client("apigateway")
    plan = client.create_usage_plan(name="plan")["id"]
    values = {
        "/throttle/rateLimit": "0.5",
        "/throttle/burstLimit": "3",
        "/name": "renamed",
    }
    client.update_usage_plan(
        usagePlanId=plan,
        patchOperations=[{"op": "replace", "path": p, "value": v} for p, v in values.items()],
    )
    shown = client.get_usage_plan(usagePlanId=plan)
    assert shown["throttle"] == {"rateLimit": 0.5, "burstLimit": 3}
    assert shown["name"] == "renamed"


def test_a_key_is_found_with_the_plans_it_is_in(aws):
    client = aws.context.client("apigateway")
    key = client.create_api_key(name="key", enabled=True)
    plan = client.create_usage_plan(name="one")["id"]
    client.create_usage_plan(name="other")
    assert moto_adapter.usage_plans_of_key("us-east-1", key["value"])[1] == []
    client.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    found, plans = moto_adapter.usage_plans_of_key("us-east-1", key["value"])
    assert (found["id"], found["enabled"]) == (key["id"], True)
    assert [plan["name"] for plan in plans] == ["one"]
    assert moto_adapter.usage_plans_of_key("us-east-1", "absent") == (None, [])
