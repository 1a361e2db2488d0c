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

from botocore.exceptions import BotoCoreError, ClientError
from rich.markdown import Markdown
from rich.progress import Progress

from bench.charts import draw
from bench.context import Bench
from bench.machine import describe_machine, slug
from bench.measure import ROOT, BenchError
from bench.report import Report, Section
from bench.sections import bake, deployment, encoder, front_door, index, invocations, limits, start
from commands.cdk_cli import console
from commands.local_state import LocalError
from commands.target import add_options, choose
from faq_search.errors import FaqSearchError
from stage.settings import SettingsError

RESULTS = ROOT / "bench" / "results"
_REFERENCE = ROOT / ".venv-reference/bin/python"
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
_FAULTS = (
    *(BenchError, LocalError, SettingsError, FaqSearchError, ClientError, BotoCoreError),
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes the report; 1 if a section could not be measured."""
    options = _parser().parse_args(arguments)
    chosen = options.only.split(",") if options.only else [DEPLOYMENT, *SECTIONS]
    unknown = set(chosen) - {DEPLOYMENT, *SECTIONS}
    if unknown:
        known = ", ".join([DEPLOYMENT, *SECTIONS])
        console.print(f"No section {', '.join(sorted(unknown))}; there are {known}.", style="red")
        return 1
    reference = os.environ.get("REFERENCE_PYTHON") or str(_REFERENCE)
    has_reference = Path(reference).is_file()
    lambda_python = _found(os.environ.get("LAMBDA_PYTHON", "python3.13"))
    machine = describe_machine(reference if has_reference else None)
    sections, failed = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as work, Progress(console=console) as shown:
        bench = Bench(
            *(Path(work), shown, machine, reference if has_reference else None, lambda_python),
            quick=options.quick,
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
                    return 130
                console.print("Stopped; the report has what was measured until now.")
                chosen = chosen[: len(sections)]
                break
            except _FAULTS as error:
                # What cannot be measured here must not take the rest with it.
                failed.append(name)
                sections.append(_not_measured(name, error))
                shown.console.print(f"{name}: {error}", style="red", markup=False)
    report = Report(f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", machine, options.quick, sections)
    _write(report, options.output, chosen if set(chosen) < {DEPLOYMENT, *SECTIONS} else [])
    return 1 if failed and options.only else 0


def _found(python: str) -> str | None:
    """The interpreter, if there is one that runs: a version manager's name for one may not."""
    path = shutil.which(python)
    if path is None or subprocess.run([path, "-V"], capture_output=True, check=False).returncode:
        return None
    return path


def _not_measured(name: str, error: Exception) -> Section:
    """The section with the reason: of a traceback, what was tried and the last line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = " ".join(dict.fromkeys((lines[0], lines[-1])))
    return Section(name, name.replace("_", " ").capitalize(), [f"Not measured: {told}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split(": ", 1)[1])
    add_options(parser)
    parser.add_argument("--only", help=f"sections, by commas: {DEPLOYMENT},{','.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to see it work")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the report's folder")
    return parser


def _write(report: Report, folder: Path, only: Sequence[str]) -> None:
    """Writes and shows the report; one of some sections never replaces the whole one."""
    name = "-".join([report.date[:10], slug(dict(report.machine)), *only])
    if report.quick:
        name += "-quick"
    files = {}
    folder.mkdir(parents=True, exist_ok=True)
    for chart in (chart for section in report.sections for chart in section.charts):
        file = folder / f"{name}-{chart.name}.png"
        draw(chart, file)
        files[chart.name] = file.name
    markdown, data = report.write(folder, name, files)
    console.print(Markdown(report.to_markdown({})))
    console.print(f"{markdown}\n{data}\n{len(files)} charts beside them")


if __name__ == "__main__":
    sys.exit(main())
