"""`make bench`: measures everything that can be measured here and writes a report."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.markdown import Markdown
from rich.progress import Progress

from bench.charts import draw
from bench.context import Bench
from bench.machine import describe_machine, slug
from bench.measure import ROOT, BenchError, Process
from bench.report import Section, to_markdown
from bench.sections import bake, deployment, encoder, front_door, index, invocations, limits, start
from commands.console import console
from commands.errors import message_of
from commands.target import add_target_arguments, choose
from faq_search.exits import INTERRUPTED
from stage.bundles import BUILD_DIRECTORY

RESULTS = ROOT / "bench" / "results"
DEPLOYMENT = "deployment"
# In the report's order; the deployment comes first.
SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "limits": limits.measure,
    "encoder": encoder.measure,
    "index": index.measure,
    "start": start.measure,
    "bake": bake.measure,
    "invocations": invocations.measure,
    "front_door": front_door.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes the report; 1 if a chosen section could not be measured."""
    options = _parser().parse_args(arguments)
    names = [DEPLOYMENT, *SECTIONS]
    chosen = options.only.split(",") if options.only else names
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        console.print(
            f"No section {', '.join(unknown)}; there are {', '.join(names)}.", style="red"
        )
        return 1
    reference = os.environ.get("REFERENCE_PYTHON") or str(ROOT / ".venv-reference/bin/python")
    reference_python = reference if Path(reference).is_file() else None
    lambda_python = _found(os.environ.get("LAMBDA_PYTHON", "python3.13"))
    machine = describe_machine(reference_python)
    now = datetime.now(UTC)
    Process.samples_file = BUILD_DIRECTORY / f"bench-{now:%Y-%m-%dT%H%M}.jsonl"
    sections, failed, interrupted = [], [], False
    with tempfile.TemporaryDirectory(prefix="bench-") as work, Progress(console=console) as shown:
        bench = Bench(
            *(Path(work), shown, machine, reference_python, lambda_python), quick=options.quick
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
                sections.append(_not_measured(name, message))
                shown.console.print(f"{name}: {message}", style="red", markup=False)
    # A report of some sections never replaces the whole one.
    parts = [f"{now:%Y-%m-%d}", slug(machine), *(chosen if set(chosen) < set(names) else [])]
    name = "-".join([*parts, "quick"] if options.quick else parts)
    options.output.mkdir(parents=True, exist_ok=True)
    charts = {}
    for chart in (chart for section in sections for chart in section.charts):
        charts[chart.name] = f"{name}-{chart.name}.png"
        draw(chart, options.output / charts[chart.name])
    file = options.output / f"{name}.md"
    report = (parts[0], machine, sections)
    file.write_text(to_markdown(*report, charts, quick=options.quick), "utf-8")
    console.print(Markdown(to_markdown(*report, {}, quick=options.quick)))
    console.print(f"{file}\n{Process.samples_file} (every sample)", soft_wrap=True)
    if interrupted:
        return INTERRUPTED
    return 1 if failed and options.only else 0


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
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to check it works")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the report's folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
