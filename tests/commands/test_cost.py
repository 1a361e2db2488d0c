"""What templates cost, and how the difference is shown."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from commands import cost, diff
from commands.answers_cost import Answers, as_json, notes, published_rates
from commands.cost import HOURS_A_MONTH, estimate
from commands.target import Target
from stage.prices import (
    BedrockPrices,
    NetworkPrices,
    OpenSearchPrices,
    Prices,
    QueryPrices,
    Usage,
    VectorPrices,
    VectorUsage,
    prices_for,
)
from stage.settings import SettingsError, load_settings

PRICES = Prices(
    as_of=datetime.date(2026, 1, 31),
    currency="USD",
    snapshot_gb_second=0.000002,
    instance_hour={"ml.c6i.xlarge": 0.25, "ml.g5.2xlarge": 1.5},
    resource_month={
        "AWS::KMS::Key": 1.0,
        "AWS::CloudWatch::Alarm": 0.1,
        "AWS::WAFv2::WebACL": 4.0,
    },
    waf_rule_month=1.5,
    network=NetworkPrices(endpoint_zone_hour=0.01, endpoint_data_per_gb=0.01, flow_logs_per_gb=0.5),
    query=QueryPrices(
        api_gateway_per_million=3.5,
        lambda_per_million=0.2,
        lambda_per_gb_second=0.00002,
        logs_per_gb=0.5,
        traces_per_million=5,
        endpoint_data_per_gb=0.01,
        waf_per_million=0.7,
        usage=Usage(
            lambda_milliseconds=10,
            authorizer_milliseconds=2,
            log_bytes=1000,
            payload_bytes=2000,
            traced_share=0.1,
            flow_log_bytes=500,
        ),
    ),
    s3_vectors=VectorPrices(
        storage_gb_month=0.06,
        put_per_gb=0.2,
        put_least_bytes=100_000,
        query_per_million=2.5,
        processed_per_tb_to_100k=0.004,
        processed_per_tb_to_10m=0.002,
        processed_per_tb_beyond=0.0004,
        usage=VectorUsage(
            key_bytes=20, filterable_bytes=80, text_bytes=1100, lambda_milliseconds=100
        ),
    ),
    bedrock=BedrockPrices(embedding_per_million_tokens=0.02, tokens_a_query=20),
    opensearch=OpenSearchPrices(
        ocu_hour=0.25,
        least_ocus=2,
        storage_gb_month=0.02,
        vector_gb_an_ocu=3,
        copies=2,
        queries_a_second_an_ocu=50,
    ),
)
KEY = {"Type": "AWS::KMS::Key", "Properties": {}}


def model_template(instance_type: str = "ml.c6i.xlarge", count: int = 2, **more: Any) -> Any:
    variant = {"InstanceType": instance_type, "InitialInstanceCount": count}
    endpoint = {
        "EndpointName": "faq-search-dev-c6i-xlarge",
        "EndpointConfigName": {"Fn::GetAtt": ["Configuration", "EndpointConfigName"]},
    }
    return {
        "Resources": {
            "Configuration": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {"ProductionVariants": [variant]},
            },
            "Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": endpoint},
            **more,
        }
    }


def scalable_target(resource_id: Any, most: int) -> dict[str, Any]:
    return {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {"ResourceId": resource_id, "MinCapacity": 1, "MaxCapacity": most},
    }


def test_instances_and_what_costs_by_the_month() -> None:
    found = estimate([{"Resources": {"Key": KEY}}, model_template()], PRICES)
    assert found.hour == pytest.approx(2 * 0.25 + 1.0 / HOURS_A_MONTH)
    assert found.hour_at_most == found.hour
    assert found.month_fixed == 1.0


def test_an_interface_endpoint_costs_by_its_zones_also_while_switched_off() -> None:
    def endpoint(**properties: Any) -> dict[str, Any]:
        return {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}

    resources = {
        "Ssm": endpoint(SubnetIds=["a", "b", "c"]),
        "S3": endpoint(RouteTableIds=["r"]),
    }
    found = estimate([{"Resources": resources}], PRICES, serving=False)
    assert found.network_hour == pytest.approx(0.03)
    assert found.month_fixed == pytest.approx(0.03 * HOURS_A_MONTH)
    assert found.hour == pytest.approx(0.03)


def test_a_snapshot_costs_by_the_memory_of_its_function() -> None:
    def function(snap_start: str) -> dict[str, Any]:
        properties = {"MemorySize": 2048, "SnapStart": {"ApplyOn": snap_start}}
        return {"Type": "AWS::Lambda::Function", "Properties": properties}

    resources = {"On": function("PublishedVersions"), "Off": function("None")}
    found = estimate([{"Resources": resources}], PRICES)
    assert found.month_fixed == pytest.approx(2 * 0.000002 * 3600 * HOURS_A_MONTH)


def test_resources_of_two_stacks_may_share_a_logical_id() -> None:
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {}}
    stacks = [{"Resources": {"A": alarm}}, {"Resources": {"A": alarm}}]
    assert estimate(stacks, PRICES).month_fixed == pytest.approx(0.2)


@pytest.mark.parametrize(
    "resource_id",
    [
        "endpoint/faq-search-dev-c6i-xlarge/variant/primary",
        {"Fn::Join": ["", ["endpoint/", {"Fn::GetAtt": ["Endpoint", "EndpointName"]}, "/v"]]},
    ],
)
def test_scaling_has_a_least_and_a_most(resource_id) -> None:
    found = estimate([model_template(Target=scalable_target(resource_id, 6))], PRICES)
    (endpoint,) = found.endpoints
    assert (endpoint.least, endpoint.most) == (1, 6)
    assert (found.hour, found.hour_at_most) == (0.25, 1.5)


def test_another_endpoints_scaling_is_not_mine() -> None:
    target = scalable_target("endpoint/faq-search-dev-c6i-xlarge-2/variant/primary", 6)
    (endpoint,) = estimate([model_template(Target=target)], PRICES).endpoints
    assert (endpoint.least, endpoint.most) == (2, 2)


def test_switched_off_only_what_costs_by_the_month_remains() -> None:
    found = estimate([{"Resources": {"Key": KEY}}, model_template()], PRICES, serving=False)
    assert found.hour == pytest.approx(1.0 / HOURS_A_MONTH)


def test_an_instance_type_without_a_price_is_named() -> None:
    found = estimate([model_template("ml.unknown.large")], PRICES)
    assert found.unpriced == ["ml.unknown.large"]
    assert found.hour == 0
    assert "ml.unknown.large" in cost.caveat(found)


def test_a_million_queries() -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "MemorySize": 512,
            "Environment": {"Variables": {"TIME_BUDGET_SECONDS": "26"}},
        },
    }
    other = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 4096}}
    found = estimate([{"Resources": {"F": function, "O": other}}], PRICES)
    parts = (3.5, 0.2, 1e6 * 0.010 * 0.5 * 0.00002, 0.5 * 1, 5 * 0.1, 0.01 * 2)
    assert found.million_queries == pytest.approx(sum(parts))


def test_a_query_asks_the_authorizer_too() -> None:
    template = {
        "Resources": {
            "Front": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "MemorySize": 512,
                    "Environment": {"Variables": {"TIME_BUDGET_SECONDS": "26"}},
                },
            }
        }
    }
    without = estimate([template], PRICES).million_queries
    template["Resources"]["Authorizer"] = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"MemorySize": 256, "Handler": "authorizer.api_key.handler"},
    }
    added = estimate([template], PRICES).million_queries - without
    assert added == pytest.approx(0.2 + 1e6 * 0.002 * 0.25 * 0.00002)


def test_a_web_acl_costs_by_the_month_by_its_rules_and_by_the_request() -> None:
    front = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "MemorySize": 512,
            "Environment": {"Variables": {"TIME_BUDGET_SECONDS": "26"}},
        },
    }
    acl = {"Type": "AWS::WAFv2::WebACL", "Properties": {"Rules": [{}, {}]}}
    without = estimate([{"Resources": {"Front": front}}], PRICES)
    found = estimate([{"Resources": {"Front": front, "Acl": acl}}], PRICES)
    assert found.month_fixed - without.month_fixed == pytest.approx(4.0 + 2 * 1.5)
    assert found.million_queries - without.million_queries == pytest.approx(0.7)


def test_no_front_door_no_queries() -> None:
    assert estimate([model_template()], PRICES).million_queries == 0


def test_a_stages_own_price_goes_before_the_tables() -> None:
    settings = load_settings("dev")
    own = settings.model_copy(update={"prices": {"ml.c6i.xlarge": 0.1}})
    assert prices_for(own).instance_hour["ml.c6i.xlarge"] == 0.1
    assert prices_for(settings).instance_hour["ml.c6i.xlarge"] != 0.1
    assert prices_for(own).instance_hour["ml.g5.2xlarge"] > 0


def test_a_stage_may_set_any_figure_of_the_table() -> None:
    settings = load_settings("dev")
    own = settings.model_copy(update={"prices": {"s3_vectors.usage.key_bytes": 9.0}})
    assert prices_for(own).s3_vectors.usage.key_bytes == 9
    for name in ("s3_vectors.nothing", "s3_vectors", "c6i.xlarge", "as_of", "currency.x"):
        wrong = settings.model_copy(update={"prices": {name: 1.0}})
        with pytest.raises(SettingsError, match=f"prices: '{name}' is neither"):
            prices_for(wrong)


def test_s3_vectors_by_tiers_of_vectors() -> None:
    prices = PRICES.s3_vectors
    searched = 4 * 100 + 20 + 80  # bytes a vector
    assert prices.stored_gb(1_000_000, 100) == pytest.approx(searched / 1e3 + 1.1 + 0.3)
    assert prices.million_queries(100_000, 100) == pytest.approx(2.5 + 50 * 0.004)
    assert prices.million_queries(10_000_000, 100) == pytest.approx(2.5 + 0.2 + 4950 * 0.002)
    assert prices.million_queries(20_000_000, 100) == pytest.approx(2.5 + 10.1 + 5000 * 0.0004)
    assert prices.loading(1_000_000, 100) == pytest.approx(0.2 * 1.9)
    # A call costs at least what 100 KB do.
    assert prices.loading(1_000_000, 100, a_call=10) == pytest.approx(0.2 * 10)


def test_published_rates_of_a_model() -> None:
    types = ["ml.c6i.xlarge", "ml.g5.2xlarge", "ml.g5.8xlarge", "ml.g4dn.2xlarge"]
    found = published_rates("huggingface-sentencesimilarity-e5-large", types)
    assert found == {
        "ml.c6i.xlarge": pytest.approx(9000 / 339),
        "ml.g5.2xlarge": pytest.approx(9000 / 32.2),
        "ml.g5.8xlarge": pytest.approx(9000 / 32.2),
    }
    assert published_rates("huggingface-sentencesimilarity-unknown", types) == {}


FRONT_DOOR = {
    "Type": "AWS::Lambda::Function",
    "Properties": {
        "MemorySize": 512,
        "Environment": {"Variables": {"TIME_BUDGET_SECONDS": "26"}},
    },
}


def answers(*, vectors: int = 100_000, has_vector_index: bool = False, **more: Any) -> Answers:
    template = model_template(count=1, FrontDoor=FRONT_DOOR, **more)
    rates = {"ml.c6i.xlarge": 20.0}
    return Answers(estimate([template], PRICES), rates, vectors, 100, has_vector_index)


def test_a_million_answers_of_a_stage() -> None:
    found = answers()
    assert [found.instances(rate) for rate in (1, 10, 14, 15, 100)] == [1, 1, 1, 2, 8]
    (one, *_, hundred) = found.rows()
    millions = 730 * 3600 / 1e6
    assert one[2] == pytest.approx(0.25 * 730 / millions + found.stage.million_queries)
    assert hundred[2] == pytest.approx(
        8 * 0.25 * 730 / millions / 100 + found.stage.million_queries
    )
    index = answers(has_vector_index=True)
    waiting = 1e6 * 0.1 * 0.5 * 0.00002
    queries = PRICES.s3_vectors.million_queries(100_000, 100) + waiting
    more = queries + index.index_month / millions
    assert next(index.rows())[2] == pytest.approx(one[2] + more)


def test_what_others_would_take() -> None:
    found = answers()
    millions = 730 * 3600 / 1e6
    front = found.stage.million_queries - 0.01 * 2 + 0.02 * 20
    (one, _, hundred) = found.rows()
    units = 2 * 0.25 * 730 + 0.02 * PRICES.s3_vectors.stored_gb(100_000, 100)
    assert one[3] == pytest.approx(front + units / millions)
    assert hundred[3] == pytest.approx(front + (units + 0.25 * 730) / millions / 100)
    vectors = front + 2.5 + 0.2 + 1.0 + found.index_month / millions
    assert one[4] == pytest.approx(vectors)


def test_where_a_stage_is_cheaper() -> None:
    found = answers()
    lowest, highest = found.cheaper(found.opensearch_month) or (0, 0)
    assert (lowest, 14 < highest < 28) == (0.01, True)  # a second instance costs what two OCUs do
    assert found.cheaper(lambda _rate: 0) is None
    found = answers(vectors=10_000_000)
    lowest, _ = found.cheaper(found.s3_vectors_month) or (0, 0)
    month = found.stage_month(lowest)
    assert month is not None and month < found.s3_vectors_month(lowest)
    assert (found.stage_month(lowest / 1.02) or 0) >= found.s3_vectors_month(lowest / 1.02)
    assert "Cheaper than Bedrock + OpenSearch from 0.01 to" in notes(answers())
    assert "loading it once 0.04" in notes(answers(has_vector_index=True))


def test_an_instance_type_without_a_published_latency_has_no_price_for_answers() -> None:
    found = Answers(estimate([model_template("ml.g5.2xlarge")], PRICES), {}, 1000, 100, False)
    assert [row[1:3] for row in found.rows()] == [(None, None)] * 3
    assert found.cheaper(found.opensearch_month) is None
    assert as_json(found)["rates"][0]["stage"] is None
    assert as_json(found)["index"] is None
    assert as_json(answers(has_vector_index=True))["index"]["million_queries"] == 2.7


def test_every_instance_type_of_the_lock_has_a_price() -> None:
    settings = load_settings("dev")
    offered = {t for model in settings.lock.models.values() for t in model.instance_types}
    assert offered - set(settings.lock.retired_instance_types) <= set(
        prices_for(settings).instance_hour
    )


def test_the_difference_is_shown_with_its_sign() -> None:
    before, after = (estimate([model_template(count=n)], PRICES) for n in (2, 1))
    shown = cost.difference_markdown(before, after)
    assert "| idle, an hour | 0.500 | 0.250 | -0.250 |" in shown
    assert "| idle, an hour | 0.250 | 0.500 | +0.250 |" in cost.difference_markdown(after, before)
    assert "as of 2026-01-31, unverified" in shown


def test_without_knowing_what_is_deployed_there_is_no_difference() -> None:
    shown = cost.difference_markdown(None, estimate([model_template()], PRICES))
    assert "| idle, an hour | ? | 0.500 | ? |" in shown


class CloudFormation:
    """One deployed stack, switched on or off."""

    def __init__(self, serving: str) -> None:
        self._serving = serving

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803
        if StackName != "Model":
            error = {"Code": "ValidationError", "Message": f"Stack {StackName} does not exist"}
            raise ClientError({"Error": error}, "DescribeStacks")
        parameter = {"ParameterKey": "Serving", "ParameterValue": self._serving}
        return {"Stacks": [{"Parameters": [parameter]}]}

    def get_template(self, StackName: str) -> Any:  # noqa: N803
        return {"TemplateBody": model_template()}


@pytest.mark.parametrize(("serving", "hour"), [("on", 0.5), ("off", 0.0)])
def test_what_is_deployed(serving, hour, monkeypatch) -> None:
    monkeypatch.setattr(Target, "client", lambda *_: CloudFormation(serving))
    target = Target("us-east-1")
    assert cost.deployed_estimate(target, ["Model", "NotThere"], PRICES).hour == hour


def test_the_assembly_gives_templates_by_stack(tmp_path) -> None:
    (tmp_path / "A.template.json").write_text(json.dumps({"Resources": {}}))
    (tmp_path / "manifest.json").write_text("{}")
    assert cost.read_assembly(tmp_path) == {"A": {"Resources": {}}}


def test_a_long_diff_is_cut_and_says_by_how_much() -> None:
    text = diff.comment("dev", "x" * 60_000, "costs")
    assert len(text) < 65_536
    assert "… and 10,000 characters more." in text
    assert text.endswith("costs\n")


def test_a_short_diff_is_whole() -> None:
    assert "````diff\nStack A\n[+] B\n````" in diff.comment("dev", "Stack A\n[+] B\n\n", "")
