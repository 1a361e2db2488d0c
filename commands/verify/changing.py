"""The checks that change something, and put it back."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from commands.console import say
from commands.errors import CommandError
from commands.findings import Finding, judged
from commands.switch import switch_to
from commands.verify.deployed import Deployed
from contract.switch import OFF, ON

Findings = Iterator[Finding]

_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack")
# SageMaker ends an update by its own limit, which is shorter.
_LONGEST_SECONDS = 3 * 3600.0
_LINES = 200


@dataclass
class Move:
    """An update under traffic: how the endpoint was described when it had ended, and what came of
    the requests meanwhile."""

    asked: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    end: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        failed = f" ({', '.join(sorted(set(self.failures)))})" if self.failures else ""
        return (
            f"{self.end['EndpointStatus']} after {self.seconds:.0f} s, {self.asked} requests,"
            f" {len(self.failures)} failed{failed}"
        )


def describe_update(d: Deployed) -> str:
    """What `update` does, and costs."""
    name, count, price = _largest(d)
    return (
        f"It updates {name} to a copy of its configuration and back, under traffic: {count} more"
        f" instances for about an hour, {price}."
    )


def describe_taken_back(d: Deployed) -> str:
    """What `taken_back` does, and costs."""
    return f"{describe_update(d)} One of its alarms goes off meanwhile, and notifies."


def describe_batch(d: Deployed) -> str:
    """What `batch` does, and costs."""
    count, kind = _batch_instances(d), d.settings.batch_instance_type
    return (
        f"It embeds {_LINES} lines on {count} x {kind}, ten minutes, {_price(d, kind, count / 6)}."
    )


def describe_off(d: Deployed) -> str:
    """What `off` does, and costs."""
    return (
        f"It takes the endpoints of {d.settings.stage} away and brings them back: the API answers"
        " no search for some twenty minutes. It costs nothing."
    )


def _price(d: Deployed, instance_type: str, hours: float) -> str:
    from stage.prices import prices_for

    prices = prices_for(d.settings)
    price = prices.instance_hour.get(instance_type)
    return (
        "at an unknown price" if price is None else f"about {price * hours:.2f} {prices.currency}"
    )


def _largest(d: Deployed) -> tuple[str, int, str]:
    """The endpoint with the most instances: only two or more have a canary."""
    name, endpoint = max(d.endpoints.items(), key=lambda each: each[1].least_instances)
    count = endpoint.least_instances
    return name, count, _price(d, endpoint.instance_type, count)


def update(d: Deployed) -> Findings:
    """Whether an update, with a canary where there are two instances, loses no request."""
    name, *_ = _largest(d)
    with _other_configuration(d, name) as (before, copy):
        routing = before["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
        kind = routing["TrafficRoutingConfiguration"]["Type"]
        move = _move(d, name, copy, before)
        ok = move.end["EndpointConfigName"] == copy and not move.failures
        yield judged(f"{name}, {kind}", str(move), "See the endpoint's log.", ok=ok)
        if kind != "CANARY":
            yield Finding(
                "canary", "unknown", f"{name} has one instance, whose traffic moves at once"
            )
        move = _move(d, name, before["EndpointConfigName"], before)
        ok = move.end["EndpointConfigName"] == before["EndpointConfigName"] and not move.failures
        yield judged(f"{name}, back", str(move), "See the endpoint's log.", ok=ok)


def taken_back(d: Deployed) -> Findings:
    """Whether an alarm during an update takes it back, without losing a request."""
    name, *_ = _largest(d)
    cloudwatch = d.client("cloudwatch")
    with _other_configuration(d, name) as (before, copy):
        watched = before["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
        alarm, reason = watched[0]["AlarmName"], "Set by `make verify`."

        def ring() -> None:
            # Again and again: CloudWatch evaluates it anew within a minute.
            cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason=reason)

        try:
            move = _move(d, name, copy, before, meanwhile=ring)
        finally:
            cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason=reason)
        back = move.end["EndpointConfigName"] == before["EndpointConfigName"]
        found = f"{'taken back' if back else 'not taken back'}, {move}"
        yield judged(name, found, f"{alarm} was in ALARM.", ok=back and not move.failures)


@contextmanager
def _other_configuration(d: Deployed, name: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The endpoint as it is, and a copy of its configuration; afterwards it is as it was."""
    sagemaker = d.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=name)
    original = before["EndpointConfigName"]
    described: Mapping[str, Any] = sagemaker.describe_endpoint_config(EndpointConfigName=original)
    kept = {key: described[key] for key in ("ProductionVariants", "KmsKeyId") if key in described}
    copy = f"{name[:40]}-verify-{uuid4().hex[:8]}"
    sagemaker.create_endpoint_config(EndpointConfigName=copy, **kept)
    try:
        yield before, copy
    finally:
        now = _wait(d, name)["EndpointConfigName"]
        if now != original:
            say(f"  Bringing {name} back to {original} …", style="dim")
            with suppress(ClientError):
                now = _move(d, name, original, before).end["EndpointConfigName"]
        if now != original:
            raise CommandError(
                f"{name} serves with {now}, not with its own configuration. Bring it back:"
                f" aws sagemaker update-endpoint --endpoint-name {name}"
                f" --endpoint-config-name {original}"
            )
        sagemaker.delete_endpoint_config(EndpointConfigName=copy)


def _move(
    d: Deployed,
    name: str,
    configuration: str,
    before: Mapping[str, Any],
    meanwhile: Callable[[], None] = lambda: None,
) -> Move:
    """Updates the endpoint as it was last updated, and asks it until that has ended."""
    move, began = Move(), time.monotonic()
    d.client("sagemaker").update_endpoint(
        EndpointName=name,
        EndpointConfigName=configuration,
        RetainAllVariantProperties=d.endpoints[name].scaling is not None,
        DeploymentConfig=before["LastDeploymentConfig"],
    )

    def ask() -> None:
        meanwhile()
        move.asked += 1
        try:
            question = {"mode": "search", "queries": ["What is batch transform?"], "top_k": 1}
            if d.ask(name, question)[1]:
                move.failures.append("answered only when repeated")
        except ClientError as error:
            move.failures.append(error.response["Error"]["Code"])
        except (BotoCoreError, ValueError) as error:
            move.failures.append(type(error).__name__)

    move.end = _wait(d, name, ask)
    move.seconds = time.monotonic() - began
    return move


def _wait(
    d: Deployed, name: str, meanwhile: Callable[[], None] = lambda: None
) -> Mapping[str, Any]:
    """Returns how the endpoint is described once it no longer changes."""
    give_up_at = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < give_up_at:
        found: Mapping[str, Any] = d.client("sagemaker").describe_endpoint(EndpointName=name)
        if found["EndpointStatus"] not in _CHANGING:
            return found
        meanwhile()
        time.sleep(0.2 if d.target.local else 1.0)
    raise CommandError(f"{name} is still {found['EndpointStatus']}.")


def _batch_instances(d: Deployed) -> int:
    return min(2, d.settings.batch.max_instance_count)


def batch(d: Deployed) -> Findings:
    """Whether a batch on several instances gives a vector for each line, in their order."""
    count = _batch_instances(d)
    with tempfile.TemporaryDirectory() as folder, d.api.connect() as client:
        lines, result = Path(folder, "lines.jsonl"), Path(folder, "result.jsonl")
        lines.write_text(
            "".join(f'{{"id": {n}, "text_inputs": "Line {n}."}}\n' for n in range(_LINES))
        )
        running = client.batch(lines, merge=True, instance_count=count)
        state = running.wait(timeout=3600)
        running.download(result)
        ids = [json.loads(line)["id"] for line in result.read_text().splitlines()]
        files, seconds = (
            (len(state.report.output), state.report.seconds) if state.report else (0, 0)
        )
    found = (
        f"{state.status}, {len(ids)} vectors in {files} files, {count} instances, {seconds:.0f} s"
    )
    remedy = f"See output/{running.batch_id}/report.json in the batch bucket."
    yield judged("batch", found, remedy, ok=ids == list(range(_LINES)))


def off(d: Deployed) -> Findings:
    """Whether switching off leaves no endpoint, and switching on brings all of them back."""
    stack, sagemaker = d.settings.names.stack("Model"), d.client("sagemaker")
    role = (d.target.find_stack(stack) or {}).get("RoleARN")
    try:
        switch_to(OFF, d.target, d.settings)
        prefix = f"{d.settings.names.prefix}-"
        listed = sagemaker.list_endpoints(NameContains=prefix)["Endpoints"]
        left = [each["EndpointName"] for each in listed if each["EndpointName"] in d.endpoints]
        found = f"left: {', '.join(left)}" if left else "no endpoint is left"
        yield judged("off", found, "Delete what is left.", ok=not left)
    except CommandError as error:
        yield Finding("off", "failed", str(error))
    try:
        switch_to(ON, d.target, d.settings)
    except CommandError as error:
        yield Finding("on", "failed", str(error), f"make on STAGE={d.settings.stage}")
        return
    states = [sagemaker.describe_endpoint(EndpointName=n)["EndpointStatus"] for n in d.endpoints]
    kept = (d.target.find_stack(stack) or {}).get("RoleARN") == role
    found = f"{', '.join(states)}; the stack's role {'is the same' if kept else 'has changed'}"
    yield judged("on", found, "Deploy again.", ok=kept and set(states) == {"InService"})
