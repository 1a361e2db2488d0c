"""Retrieval quality for every choice of the embedded text: `make evaluate`.

Deploys the sample corpus three times beside whatever is deployed to the local AWS (starting one
where none runs), as the stages `answer`, `question` and `both`; asks each its questions through
the REST API; removes them again. For one deployment, anywhere: `python -m client evaluate`.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from client.evaluate import evaluate
from client.settings import connect
from stacks.settings import SettingsError
from tools.cdk_cli import Choice, console
from tools.local_app import MINILM, deploy, destroy, find_weights, first_deploy, serving
from tools.local_state import LocalError, find_running

EMBEDS = ("answer", "question", "both")
PARAPHRASES = Path("corpus/sample/paraphrases.csv")
CORPUS = Path("corpus/sample/amazon_sagemaker_faq.csv")
_SETTINGS = f"""
region = "us-east-1"
removal_policy = "destroy"
bake = {{ instance_type = "ml.c6i.xlarge" }}
endpoints = [{{ instance_type = "ml.c6i.xlarge" }}]
api = {{ auth = "api_key", rate_limit = 1000, burst_limit = 1000 }}
model = {{ id = "{MINILM}", embed = "EMBED" }}
corpus = {{ path = "{CORPUS}" }}
"""


def main() -> int:
    """Evaluates all three; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools.evaluate", description="Retrieval quality.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    try:
        reports = _evaluate_all()
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(_table(reports))
    if options.json:
        options.json.write_text(json.dumps(reports, indent=2) + "\n")
    return 0


def _evaluate_all() -> dict[str, Any]:
    """The report of each embedded text, as `python -m client evaluate --json` writes it."""
    reports = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for embed in EMBEDS:
            (folder / f"{embed}.toml").write_text(_SETTINGS.replace("EMBED", embed))
        choices = {embed: Choice.read(embed, config=str(folder)) for embed in EMBEDS}
        try:
            running, is_ours = find_running(), False
        except LocalError:
            running, is_ours = stack.enter_context(serving(choices["answer"])), True
        for number, (embed, choice) in enumerate(choices.items()):
            console.print(f"Deploying the sample corpus, embedding {embed} …")
            api_file = folder / f"{embed}-api.json"
            status = (
                first_deploy(running, choice, find_weights(choice.settings), api_file, quiet=True)
                if is_ours and number == 0
                else deploy(running, choice, api_file=api_file, quiet=True)
            )
            if status:
                raise LocalError("The deployment failed; the reason stands above.")
            report = folder / f"{embed}.json"
            with connect({}, local_file=api_file) as api:
                # The misses of one deployment: python -m client evaluate.
                evaluate(api, CORPUS, PARAPHRASES, report, Console(file=io.StringIO()))
            reports[embed] = json.loads(report.read_text())
            destroy(running, choice, quiet=True)
    return reports


def _table(reports: dict[str, Any]) -> Table:
    table = Table("embedded", "questions", "asked", "top-1", "top-3", "MRR (top 10)")
    for embed, report in reports.items():
        for name, found in report["scores"].items():
            table.add_row(
                *(embed, name, str(found["questions"])),
                *(f"{found['top_1']:.1%}", f"{found['top_3']:.1%}", f"{found['mrr_10']:.3f}"),
            )
    return table


if __name__ == "__main__":
    sys.exit(main())
