"""`make bench`: measures everything that can be measured here and writes a report."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markdown import Markdown
from rich.progress import Progress

from bench.charts import draw
from bench.context import Bench
from bench.machine import describe_machine, slug
from bench.measure import ROOT, BenchError, Process
from bench.report import Section, to_markdown
from bench.sections import (
    bake,
    deployment,
    encoder,
    front_door,
    index,
    invocations,
    limits,
    load,
    models,
    servers,
    start,
)
from commands.console import console
from commands.errors import message_of
from commands.target import add_target_arguments, choose
from faq_search.exits import INTERRUPTED
from stage.bundles import BUILD_DIRECTORY

RESULTS = ROOT / "bench" / "results"
DEPLOYMENT = "deployment"
# Only where they are asked for: each takes as long as all the others.
LONG = ("models", "servers", "load")
# In the report's order; the deployment comes first.
SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "limits": limits.measure,
    "encoder": encoder.measure,
    "index": index.measure,
    "start": start.measure,
    "bake": bake.measure,
    "invocations": invocations.measure,
    "front_door": front_door.measure,
    "models": models.measure,
    "servers": servers.measure,
    "load": load.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes the report; 1 if a chosen section could not be measured."""
    options = _parser().parse_args(arguments)
    # Ended by `timeout` as by Ctrl-C: servers stop, and the report is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = [DEPLOYMENT, *SECTIONS]
    usual = [name for name in names if name not in LONG]
    chosen = options.only.split(",") if options.only else usual
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        console.print(
            f"No section {', '.join(unknown)}; there are {', '.join(names)}.", style="red"
        )
        return 1
    reference = os.environ.get("REFERENCE_PYTHON") or str(ROOT / ".venv-reference/bin/python")
    reference_python = reference if Path(reference).is_file() else None
    servers_python = ROOT / ".venv-servers/bin/python"
    lambda_python = _found(os.environ.get("LAMBDA_PYTHON", "python3.13"))
    machine = describe_machine(reference_python)
    now = datetime.now(UTC)
    Process.samples_file = BUILD_DIRECTORY / f"bench-{now:%Y-%m-%dT%H%M}.jsonl"
    report = _Report(f"{now:%Y-%m-%d}", machine, quick=options.quick)
    sections, failed, interrupted = report.sections, [], False
    with tempfile.TemporaryDirectory(prefix="bench-") as work, Progress(console=console) as shown:
        bench = Bench(
            *(Path(work), shown, machine, reference_python, lambda_python),
            quick=options.quick,
            minutes=options.minutes,
            servers=str(servers_python) if servers_python.is_file() else None,
            publish=report.save,
        )
        for number, name in enumerate(chosen, 1):
            console.print(f"{number} of {len(chosen)}: {name} …")
            try:
                if name == DEPLOYMENT:
                    target, choice = choose(options)
                    sections.append(deployment.measure(bench, target, choice))
                else:
                    sections.append(SECTIONS[name](bench))
            except KeyboardInterrupt:
                sections += report.unfinished
                if not sections:
                    return INTERRUPTED
                interrupted = True
                console.print("Stopped; the report has what was measured so far.")
                chosen = chosen[: len(sections)]
                break
            except Exception as error:
                # The other sections are still worth measuring.
                plain = isinstance(error, (BenchError, OSError))
                message = str(error) if plain else message_of(error)
                if message is None:
                    raise
                failed.append(name)
                sections += [*report.unfinished, _not_measured(name, message)]
                shown.console.print(f"{name}: {message}", style="red", markup=False)
            report.save()
    report.write(options.output, chosen if chosen != usual else [])
    if interrupted:
        return INTERRUPTED
    return 1 if failed and options.only else 0


class _Report:
    """The report's sections so far, and one that is `unfinished`."""

    def __init__(self, date: str, machine: dict[str, Any], *, quick: bool) -> None:
        self.sections: list[Section] = []
        self.unfinished: list[Section] = []
        self._date = date
        self._machine = machine
        self._quick = quick

    def save(self, *unfinished: Section) -> None:
        """Keeps what is measured so far beside the samples, in case that this run is killed."""
        self.unfinished = list(unfinished)
        assert Process.samples_file is not None
        Process.samples_file.with_suffix(".md").write_text(self._text({}), "utf-8")

    def write(self, folder: Path, parts: Sequence[str]) -> None:
        """Writes the report with its charts, and prints it; `parts` are its sections if not all."""
        # A report of some sections never replaces the whole one.
        words = [self._date, slug(self._machine), *parts, *(["quick"] if self._quick else [])]
        name = "-".join(words)
        self.unfinished = []
        folder.mkdir(parents=True, exist_ok=True)
        charts = {}
        for chart in (chart for section in self.sections for chart in section.charts):
            charts[chart.name] = f"{name}-{chart.name}.png"
            draw(chart, folder / charts[chart.name])
        file = folder / f"{name}.md"
        file.write_text(self._text(charts), "utf-8")
        console.print(Markdown(self._text({})))
        console.print(f"{file}\n{Process.samples_file} (every sample)", soft_wrap=True)

    def _text(self, charts: Mapping[str, str]) -> str:
        sections = [*self.sections, *self.unfinished]
        return to_markdown(self._date, self._machine, sections, charts, quick=self._quick)


def _found(python: str) -> str | None:
    """The interpreter if it runs; a version manager's shim may not."""
    path = shutil.which(python)
    if path is None or subprocess.run([path, "-V"], capture_output=True, check=False).returncode:
        return None
    return path


def _not_measured(name: str, message: str) -> Section:
    """The section with the reason: the first line and, of a traceback, the last."""
    lines = message.strip().splitlines() or ["no reason given"]
    reason = " ".join(dict.fromkeys((lines[0], lines[-1])))
    return Section(name.replace("_", " ").capitalize(), [f"Not measured: {reason}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split(": ", 1)[1])
    add_target_arguments(parser)
    parser.add_argument("--only", help=f"sections, by commas: {DEPLOYMENT},{','.join(SECTIONS)}")
    parser.add_argument("--minutes", type=float, default=10, help="how long load asks")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to check it works")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the report's folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
