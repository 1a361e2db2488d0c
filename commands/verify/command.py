"""What a live account shows of docs/unverified.md (`make verify STAGE=dev`).

Each point of that page names its check. Those that change or cost something run only when asked
for. The report names no caller's text, no address, and no account.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import ClientError

from commands.console import confirm, console, say
from commands.errors import CommandError
from commands.findings import Finding, State, report
from commands.target import add_target_arguments, choose
from commands.verify import changing, reading
from commands.verify.deployed import Deployed
from faq_search.errors import FaqSearchError


@dataclass(frozen=True)
class Check:
    """One check.

    local: why it shows nothing of AWS on the local AWS; empty where it shows as much there.
    describe: says what it changes and costs; None for one that only looks.
    """

    run: Callable[[Deployed], Iterator[Finding]]
    local: str
    describe: Callable[[Deployed], str] | None = None

    @property
    def name(self) -> str:
        return self.run.__name__.replace("_", "-")


_NOT_SAGEMAKER = "its SageMaker is this project's own"

CHECKS: tuple[Check, ...] = (
    Check(reading.stacks, "its CloudFormation is this project's own"),
    Check(reading.permissions, "it has no boundaries and no organisation"),
    Check(reading.quotas, "it has no quotas"),
    Check(reading.weights, "`make local` puts the weights there"),
    Check(reading.images, "no image is pulled"),
    Check(reading.bake, "a job is a process on this machine"),
    Check(reading.history, "jobs take seconds there"),
    Check(reading.device, "every instance type is this machine"),
    Check(reading.ping, "instances are processes on this machine"),
    Check(reading.answers, ""),
    Check(reading.signatures, "it checks signatures by this project's own code"),
    Check(reading.refusals, "its API Gateway is this project's own"),
    Check(reading.errors, _NOT_SAGEMAKER),
    Check(reading.cold_start, "functions are processes on this machine"),
    Check(reading.logs, "its logs are files, and there are no traces"),
    Check(reading.metrics, "AWS's services publish none there"),
    Check(reading.alarms, "nothing evaluates them there"),
    Check(reading.notifications, "nothing is sent there"),
    Check(reading.scaling, "nothing scales there"),
    Check(reading.tags, "there are no bills"),
    Check(reading.prices, "it has no price list"),
    Check(changing.update, _NOT_SAGEMAKER, changing.describe_update),
    Check(changing.taken_back, _NOT_SAGEMAKER, changing.describe_taken_back),
    Check(changing.batch, _NOT_SAGEMAKER, changing.describe_batch),
    Check(changing.off, _NOT_SAGEMAKER, changing.describe_off),
)

VERDICTS: dict[State, str] = {
    "failed": "{} did not hold.",
    "unknown": "Nothing is known not to hold; {} could not be checked.",
    "ok": "Everything held.",
}
_TITLES: dict[State, str] = {
    "failed": "Did not hold",
    "ok": "Held",
    "unknown": "Could not be checked",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and whether to run what changes something."""
    add_target_arguments(parser)
    parser.add_argument(
        "--thorough", action="store_true", help="also what changes or costs something, unasked"
    )
    parser.add_argument(
        "--report", type=Path, help="where the report goes; default: verify-<stage>-<date>.md"
    )


def run(options: argparse.Namespace) -> int:
    """Prints what held and writes the report; returns 1 where something did not hold."""
    target, choice = choose(options)
    d = Deployed(target, choice)
    model = d.settings.names.stack("Model")
    if target.find_stack(model) is None:
        raise CommandError(f"There is no stack {model} in {target.region}: deploy first.")
    wanted = {check.name for check in CHECKS if _is_wanted(check, d, thorough=options.thorough)}
    found: list[Finding] = []
    now = datetime.now(UTC)
    file = options.report or Path(f"verify-{d.settings.stage}-{now:%Y-%m-%d}.md")
    try:
        return report(_kept(examine(d, wanted), found), VERDICTS)
    finally:
        file.write_text(markdown(d, now, found), encoding="utf-8")
        console.print(f"Written to {file}, to attach to an issue.")


def _is_wanted(check: Check, d: Deployed, *, thorough: bool) -> bool:
    if check.describe is None:
        return True
    what = f"{check.name}: {check.describe(d)}"
    if thorough:
        say(what, style="dim")
        return True
    if not sys.stdin.isatty():
        return False
    try:
        confirm(f"{what} Run it?", unasked="")
    except CommandError:
        return False
    return True


def _kept(findings: Iterable[Finding], kept: list[Finding]) -> Iterator[Finding]:
    for finding in findings:
        kept.append(finding)
        yield finding


def examine(d: Deployed, wanted: set[str]) -> Iterator[Finding]:
    """Every finding, of the checks that are wanted."""
    for check in CHECKS:
        if check.name not in wanted:
            yield Finding(check.name, "unknown", "not asked for (make verify THOROUGH=1)")
        elif d.target.local is not None and check.local:
            yield _of_no_meaning(check, list(findings_of(check, d)))
        else:
            for finding in findings_of(check, d):
                yield replace(finding, subject=f"{check.name}: {finding.subject}")


def findings_of(check: Check, d: Deployed) -> Iterator[Finding]:
    """What a check finds, up to where it cannot go on.

    Nobody has seen what AWS answers here, so no answer may end the command.
    """
    try:
        yield from check.run(d)
    except ClientError as error:
        # The message names who asked.
        code = error.response["Error"]["Code"]
        yield Finding(error.operation_name, "unknown", f"AWS refused ({code})")
    except (CommandError, FaqSearchError) as error:
        yield Finding("it ended", "failed", str(error))
    except Exception as error:
        yield Finding("answer", "unknown", f"{type(error).__name__}: {error}")


def _of_no_meaning(check: Check, findings: list[Finding]) -> Finding:
    """One finding for all that a check says of the local AWS."""
    states = [finding.state for finding in findings]
    said = ", ".join(
        f"{states.count(state)} {title.lower()}"
        for state, title in _TITLES.items()
        if state in states
    )
    found = f"means nothing on the local AWS: {check.local} (tried: {said or 'nothing'})"
    return Finding(check.name, "unknown", found)


def markdown(d: Deployed, now: datetime, findings: list[Finding]) -> str:
    """The report, by state."""
    where = "AWS" if d.target.local is None else "the local AWS"
    lines = [
        f"# `make verify`, {d.settings.stage}, {now:%Y-%m-%d %H:%M} UTC",
        "",
        f"On {where}, {d.target.region}, model {d.settings.model.id}, endpoints:"
        f" {', '.join(f'{e.least_instances} x {e.instance_type}' for e in d.settings.endpoints)}.",
    ]
    for state, title in _TITLES.items():
        if rows := [finding for finding in findings if finding.state == state]:
            lines += ["", f"## {title}", "", "| what | found |", "|---|---|"]
            lines += [f"| {_cell(row.subject)} | {_cell(row.found)} |" for row in rows]
    return "\n".join([*lines, ""])


# Accounts; people who asked; access keys; mail addresses; the API's host.
_SECRET = re.compile(
    r"(?<!\d)\d{12}(?!\d)"
    r"|(?<=user/|role/)[\w+=,.@/-]+"
    r"|\bA[KS]IA[A-Z0-9]{16}\b"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|\b[a-z0-9]{10}(?=\.execute-api)"
)


def _cell(text: str) -> str:
    return _SECRET.sub("…", " ".join(text.split())).replace("|", "\\|")
