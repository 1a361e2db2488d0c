"""What a check found, and how findings are printed: for `preflight` and `verify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from commands.console import console

State = Literal["ok", "failed", "unknown"]

# From the best to the worst.
_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "unknown": ("?", "yellow"),
    "failed": ("✗", "red"),
}


@dataclass(frozen=True)
class Finding:
    """subject: what was looked at. found: what was seen. remedy: what to do where it failed."""

    subject: str
    state: State
    found: str
    remedy: str = ""


def judged(subject: str, found: str, remedy: str = "", *, ok: bool) -> Finding:
    """A finding that is either as it must be or not; the remedy is for the latter."""
    return Finding(subject, "ok", found) if ok else Finding(subject, "failed", found, remedy)


def findings_of(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """What a check finds, up to where AWS refuses to answer or cannot be reached."""
    try:
        yield from findings
    except (BotoCoreError, ClientError) as error:
        yield Finding(subject, "unknown", f"AWS does not say: {error}")


def report(findings: Iterable[Finding], verdicts: Mapping[State, str]) -> int:
    """Prints the findings as they come; returns 1 where one failed, else 0.

    verdicts: how it ends, by the worst state; `{}` stands for how many are in it.
    """
    states: list[State] = []
    for finding in findings:
        states.append(finding.state)
        mark, style = _MARKS[finding.state]
        console.print(Text(f"{mark} ", style), Text(f"{finding.subject}: {finding.found}"), sep="")
        if finding.remedy:
            console.print(Text(f"    {finding.remedy}", "bold"))
    order = list(_MARKS)
    worst = max(states, key=order.index, default=order[0])
    console.print(verdicts[worst].format(states.count(worst)), style=_MARKS[worst][1])
    return int(worst == "failed")
