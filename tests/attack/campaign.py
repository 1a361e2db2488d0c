"""What a campaign counts: cases, answers, what was lost, and what was found."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

PROGRESS_SECONDS = 10
# Of one part: what goes wrong everywhere would fill the terminal.
SHOWN_FINDINGS = 20

console = Console(highlight=False, markup=False)


class OffLoopbackError(Exception):
    """The campaign was about to reach another machine."""


def refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook for the campaign's process: it connects to 127.0.0.1 alone."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[0] != "127.0.0.1":
        raise OffLoopbackError(f"{address[0]} is not 127.0.0.1")


@dataclass
class Part:
    """One part of a campaign and what it came to.

    Args:
        seed: Of the campaign.
        only: The one case to run again; by default all.
        short: Whether this is the short form, whose cases are others.
    """

    name: str
    seed: int = 0
    only: int | None = None
    short: bool = False
    cases: int = 0
    lost: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    _shown: float = field(default_factory=time.monotonic)

    def random(self, case: int) -> Random:
        """The same for the same seed, part and case, whatever ran before."""
        return Random(f"{self.seed}/{self.name}/{case}")

    def numbers(self, count: int) -> Iterator[int]:
        """The cases to run, counted as they are begun."""
        for case in range(count) if self.only is None else [self.only]:
            self.begin(case, count)
            yield case

    def begin(self, case: int, count: int) -> None:
        """Counts a case, and shows now and then how far the part is."""
        self.cases += 1
        if time.monotonic() - self._shown > PROGRESS_SECONDS:
            self._shown = time.monotonic()
            console.print(
                f"  {self.name}: {case:,} of {count:,}, {len(self.findings)} findings", style="dim"
            )

    def answered(self, status: int, code: str = "") -> None:
        """Counts an answer; each 5xx with its code."""
        self.statuses[f"{status} {code}".strip() if status >= 500 else str(status)] += 1

    def find(self, case: int, what: str, **details: Any) -> None:
        """Notes, and prints, something that must not happen, and how to repeat it.

        case: -1 for what no single case has led to.
        """
        repeat = f"make attack SEED={self.seed} ONLY={self.name}"
        repeat += f" CASE={case}" if case >= 0 else ""
        repeat += " SHORT=1" if self.short else ""
        self.findings.append({"case": case, "what": what, "repeat": repeat, **details})
        if len(self.findings) <= SHOWN_FINDINGS:
            console.print(f"  FOUND in {self.name}: {what}\n    {repeat}", style="red")

    @property
    def server_errors(self) -> dict[str, int]:
        """How often each status from 500 on came, with its code."""
        return {name: count for name, count in sorted(self.statuses.items()) if name[0] == "5"}

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "cases": self.cases,
            "statuses": dict(sorted(self.statuses.items())),
            "server_errors": self.server_errors,
            "lost": self.lost,
            "seconds": round(self.seconds, 1),
            "findings": self.findings,
            **self.notes,
        }


@dataclass
class Campaign:
    """All parts, and the files that tell of them."""

    seed: int
    commit: str
    parts: list[Part] = field(default_factory=list)
    interrupted: bool = False

    @property
    def failed(self) -> bool:
        """Whether anything was found."""
        return any(part.findings for part in self.parts)

    def table(self) -> Table:
        """A line for each part."""
        table = Table(title=f"make attack SEED={self.seed}, at {self.commit}")
        for heading in ("part", "cases", "5xx", "lost", "findings", "seconds"):
            table.add_column(heading, justify="left" if heading in ("part", "5xx") else "right")
        for part in self.parts:
            errors = ", ".join(f"{n:,} x {name}" for name, n in part.server_errors.items())
            table.add_row(
                part.name,
                f"{part.cases:,}",
                errors or "none",
                f"{part.lost:,}",
                str(len(part.findings)),
                f"{part.seconds:.0f}",
            )
        return table

    def write(self, folder: Path) -> Path:
        """report.json and report.txt in `folder`; the former's path."""
        folder.mkdir(parents=True, exist_ok=True)
        report = {
            "seed": self.seed,
            "commit": self.commit,
            "interrupted": self.interrupted,
            "parts": {part.name: part.to_dict() for part in self.parts},
        }
        path = folder / "report.json"
        path.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
        with (folder / "report.txt").open("w", encoding="utf-8") as file:
            Console(file=file, width=160).print(self.table())
        return path
