"""What a stage costs: `make cost STAGE=dev`, and beside `cdk diff` the difference: `make diff`.

Estimated from the templates, not from the settings. What they do not hold costs nothing here:
storage, batches, bakes, traffic out of AWS.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from commands.console import console
from commands.target import Choice, Target
from contract import switch

if TYPE_CHECKING:
    from stage.prices import Prices

HOURS_A_MONTH = 730
_MONTH_SECONDS = HOURS_A_MONTH * 3600
_GB = 1e9
_WEB_ACL = "AWS::WAFv2::WebACL"

Template = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings, and the form of the answer."""
    parser.add_argument("--stage", default="dev", help="the settings: config/<stage>.toml")
    parser.add_argument("--config", help="a folder with settings, instead of config")
    parser.add_argument("--entries", type=int, help="of the corpus, for a million answers")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    """Prints the estimate; returns the exit status."""
    choice = Choice.read(options.stage, config=options.config)
    from commands import answers_cost
    from stage.prices import prices_for

    target = Target(choice.settings.region)  # synth asks no AWS
    with tempfile.TemporaryDirectory() as folder:
        synth = ["synth", "--quiet", "--output", folder, *choice.context_options]
        if status := target.cdk(*synth, quiet=True):
            return status
        found = estimate(read_assembly(Path(folder)).values(), prices_for(choice.settings))
    answers = answers_cost.answers_of(choice.settings, found, options.entries)
    if options.json:
        document = {**as_json(found), "million_answers": answers_cost.as_json(answers)}
        print(json.dumps(document, indent=2))
    else:
        console.print(_table(options.stage, found))
        console.print(caveat(found), style="dim")
        console.print(answers_cost.table(answers))
        console.print(answers_cost.notes(answers), style="dim")
    return 0


@dataclass(frozen=True)
class EndpointCost:
    """One endpoint: how many instances there are at least and at most, and what one costs an hour
    (None: the price table does not know the type)."""

    name: str
    instance_type: str
    least: int
    most: int
    instance_hour: float | None

    @property
    def hour(self) -> float:
        """With the fewest instances."""
        return self.least * (self.instance_hour or 0)

    @property
    def hour_at_most(self) -> float:
        return self.most * (self.instance_hour or 0)


@dataclass(frozen=True)
class Estimate:
    """What a stage costs.

    month_fixed: keys, alarms, dashboards, snapshots, web ACL and network: whether endpoints run or
        not.
    network_hour: of these, the interface endpoints of a private stage.
    million_queries: beyond the endpoints' hours.
    front_door_gb: the memory of the function that asks them.
    """

    prices: Prices
    endpoints: tuple[EndpointCost, ...]
    month_fixed: float
    network_hour: float
    million_queries: float
    front_door_gb: float = 0

    @property
    def hour(self) -> float:
        """Idle: the fewest instances, nothing asked."""
        return sum(e.hour for e in self.endpoints) + self.month_fixed / HOURS_A_MONTH

    @property
    def hour_at_most(self) -> float:
        """With as many instances as scaling may start."""
        return sum(e.hour_at_most for e in self.endpoints) + self.month_fixed / HOURS_A_MONTH

    @property
    def unpriced(self) -> list[str]:
        """Instance types without a price: the estimate lacks them."""
        return sorted({e.instance_type for e in self.endpoints if e.instance_hour is None})


def estimate(templates: Iterable[Template], prices: Prices, *, serving: bool = True) -> Estimate:
    """What the stacks of these templates cost; `serving` is false while switched off."""
    resources: dict[str, Any] = {}
    for number, template in enumerate(templates):
        # Logical ids are unique within a stack only.
        resources |= {f"{number}/{name}": r for name, r in template.get("Resources", {}).items()}
    month = sum(prices.resource_month.get(r["Type"], 0) for r in resources.values())
    month += prices.waf_rule_month * sum(map(_waf_rules, resources.values()))
    month += prices.snapshot_gb_second * sum(map(_snapshot_gb, resources.values())) * _MONTH_SECONDS
    network_hour = prices.network.endpoint_zone_hour * sum(map(_zones, resources.values()))
    return Estimate(
        prices,
        tuple(_endpoints(resources, prices)) if serving else (),
        month + network_hour * HOURS_A_MONTH,
        network_hour,
        _million_queries(resources, prices),
        _front_door_gb(resources),
    )


def _waf_rules(resource: Mapping[str, Any]) -> int:
    """The rules of a web ACL; 0 for anything else."""
    is_acl = resource["Type"] == _WEB_ACL
    return len(resource["Properties"].get("Rules", [])) if is_acl else 0


def _snapshot_gb(resource: Mapping[str, Any]) -> float:
    """What SnapStart keeps of a function; 0 for anything else."""
    properties = resource.get("Properties", {})
    has_one = properties.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
    return int(properties["MemorySize"]) / 1024 if has_one else 0


def _zones(resource: Mapping[str, Any]) -> int:
    """In how many zones an interface endpoint is; 0 for anything else."""
    if resource["Type"] != "AWS::EC2::VPCEndpoint":
        return 0
    return len(resource["Properties"].get("SubnetIds", []))


def _endpoints(resources: Mapping[str, Any], prices: Prices) -> Iterable[EndpointCost]:
    for key, resource in resources.items():
        if resource["Type"] != "AWS::SageMaker::Endpoint":
            continue
        stack, _, logical_id = key.partition("/")
        properties = resource["Properties"]
        configuration_id = properties["EndpointConfigName"]["Fn::GetAtt"][0]
        configuration = resources[f"{stack}/{configuration_id}"]["Properties"]
        for variant in configuration["ProductionVariants"]:
            instance_type, count = variant["InstanceType"], int(variant["InitialInstanceCount"])
            least, most = _bounds(resources, logical_id, properties["EndpointName"]) or (
                count,
                count,
            )
            price = prices.instance_hour.get(instance_type)
            yield EndpointCost(properties["EndpointName"], instance_type, least, most, price)


def _bounds(
    resources: Mapping[str, Any], logical_id: str, endpoint_name: str
) -> tuple[int, int] | None:
    """Least and most instances that the endpoint's scalable target allows, where it has one."""
    for resource in resources.values():
        if resource["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget":
            properties = resource["Properties"]
            target = json.dumps(properties["ResourceId"])
            if f'"{logical_id}"' in target or f"endpoint/{endpoint_name}/" in target:
                return int(properties["MinCapacity"]), int(properties["MaxCapacity"])
    return None


def _million_queries(resources: Mapping[str, Any], prices: Prices) -> float:
    """API Gateway, the front door's function and the authorizer, logs, traces, the endpoint's data
    AWS WAF and a private network, where there are; 0 where there is no front door."""
    query, usage = prices.query, prices.query.usage
    found = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
    milliseconds = [(f, usage.lambda_milliseconds) for f in found if _asks_endpoints(f)]
    if not milliseconds:
        return 0
    milliseconds += [(f, usage.authorizer_milliseconds) for f in found if _authorizes(f)]
    gb_seconds = sum(1e6 * ms / 1000 * int(f["MemorySize"]) / 1024 for f, ms in milliseconds)
    types = {r["Type"] for r in resources.values()}
    network = 0.0
    if "AWS::EC2::VPCEndpoint" in types:
        network += prices.network.endpoint_data_per_gb * 1e6 * usage.payload_bytes / _GB
    if "AWS::EC2::FlowLog" in types:
        network += prices.network.flow_logs_per_gb * 1e6 * usage.flow_log_bytes / _GB
    return (
        network
        + query.api_gateway_per_million
        + query.lambda_per_million * len(milliseconds)
        + query.lambda_per_gb_second * gb_seconds
        + query.logs_per_gb * 1e6 * usage.log_bytes / _GB
        + query.traces_per_million * usage.traced_share
        + query.endpoint_data_per_gb * 1e6 * usage.payload_bytes / _GB
        + (query.waf_per_million if any(r["Type"] == _WEB_ACL for r in resources.values()) else 0)
    )


def _front_door_gb(resources: Mapping[str, Any]) -> float:
    found = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
    return sum(int(each["MemorySize"]) / 1024 for each in found if _asks_endpoints(each))


def _asks_endpoints(function: Mapping[str, Any]) -> bool:
    return "TIME_BUDGET_SECONDS" in function.get("Environment", {}).get("Variables", {})


def _authorizes(function: Mapping[str, Any]) -> bool:
    return str(function.get("Handler", "")).startswith("authorizer.")


def read_assembly(folder: Path) -> dict[str, dict[str, Any]]:
    """The synthesised templates in a cloud assembly, by stack name."""
    suffix = ".template.json"
    return {
        file.name.removesuffix(suffix): json.loads(file.read_text())
        for file in sorted(folder.glob(f"*{suffix}"))
    }


def deployed_estimate(target: Target, stack_names: Iterable[str], prices: Prices) -> Estimate:
    """What is deployed now costs; stacks that do not exist cost nothing.

    Raises ClientError or BotoCoreError where CloudFormation cannot be asked.
    """
    client = target.client("cloudformation")
    templates, serving = [], True
    for name in stack_names:
        stack = target.find_stack(name)
        if stack is None:
            continue
        templates.append(client.get_template(StackName=name)["TemplateBody"])
        for parameter in stack.get("Parameters", []):
            if parameter["ParameterKey"] == switch.PARAMETER:
                serving = parameter["ParameterValue"] == switch.ON
    return estimate(templates, prices, serving=serving)


def _table(stage: str, found: Estimate) -> Table:
    currency = found.prices.currency
    table = Table(title=f"What {stage} costs, {currency}")
    for heading in ("", "an hour", "a month"):
        table.add_column(heading, justify="right" if heading else "left")

    def row(label: str, hour: float, month: float | None = None) -> None:
        table.add_row(label, f"{hour:,.3f}", f"{month or hour * HOURS_A_MONTH:,.2f}")

    for each in found.endpoints:
        label = f"{each.name} ({each.least} x {each.instance_type})"
        row(label if each.instance_hour is not None else f"{label}: no price", each.hour)
    others = found.month_fixed - found.network_hour * HOURS_A_MONTH
    row("keys, alarms, dashboard, snapshots, web ACL", others / HOURS_A_MONTH, others)
    if found.network_hour:
        row("endpoints of the private network", found.network_hour)
    table.add_section()
    row("idle", found.hour)
    if found.hour_at_most > found.hour:
        row("scaled out to the most", found.hour_at_most)
    row("switched off", found.month_fixed / HOURS_A_MONTH, found.month_fixed)
    table.add_section()
    table.add_row("a million queries, beyond that", "", f"{found.million_queries:,.2f}")
    return table


def caveat(found: Estimate) -> str:
    """How far the figures can be trusted, in a sentence or two."""
    unpriced = found.unpriced
    missing = (
        f" No price is known for {', '.join(unpriced)}: it is missing from the sums; give it in"
        " the settings' [prices]."
        if unpriced
        else ""
    )
    return (
        f"List prices as of {found.prices.as_of}, unverified (prices.toml); without storage,"
        f" batches, bakes and taxes.{missing}"
    )


def difference_markdown(before: Estimate | None, after: Estimate) -> str:
    """The difference as a Markdown table; `before` is None where nothing is known of it."""
    rows = [
        ("idle, an hour", "hour", 1.0),
        ("idle, a month", "hour", float(HOURS_A_MONTH)),
        ("scaled out to the most, an hour", "hour_at_most", 1.0),
        ("a million queries", "million_queries", 1.0),
    ]
    lines = [
        f"| {after.prices.currency} | deployed | this change | difference |",
        "|---|--:|--:|--:|",
    ]
    for label, attribute, factor in rows:
        new = getattr(after, attribute) * factor
        if before is None:
            lines.append(f"| {label} | ? | {new:,.3f} | ? |")
        else:
            old = getattr(before, attribute) * factor
            lines.append(f"| {label} | {old:,.3f} | {new:,.3f} | {new - old:+,.3f} |")
    return "\n".join([*lines, "", caveat(after)])


def as_json(found: Estimate) -> dict[str, Any]:
    """The estimate as JSON: amounts in `currency`."""
    return {
        "currency": found.prices.currency,
        "prices_as_of": str(found.prices.as_of),
        "endpoints": [
            {
                "endpoint_name": e.name,
                "instance_type": e.instance_type,
                "instances": [e.least, e.most],
                "instance_hour": e.instance_hour,
            }
            for e in found.endpoints
        ],
        "network_hour": round(found.network_hour, 6),
        "idle_hour": round(found.hour, 6),
        "idle_month": round(found.hour * HOURS_A_MONTH, 2),
        "most_hour": round(found.hour_at_most, 6),
        "switched_off_month": round(found.month_fixed, 2),
        "million_queries": round(found.million_queries, 4),
    }
