"""`make local`: starts the local AWS, deploys to it with the real CDK, prints what to ask.

Ctrl-C stops everything. Meanwhile the client finds the API through `.local/api.json` (url, api_key,
auth, region), and the other commands find the local AWS through `.local/running.json`.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shlex
import threading
import time
from pathlib import Path

from rich.markup import escape
from rich.panel import Panel

from commands.console import console
from commands.local_state import API_FILE, LOCAL_STAGE, LOG_FILE, ROOT, Running
from commands.target import Choice
from corpus.reader import iter_corpus
from faq_search.settings import TOKEN, find_api
from stage.corpus_file import canonical_corpus

SAMPLE = ROOT / "corpus/sample/amazon_sagemaker_faq.csv"
SAMPLE_QUESTION = "How do I stop paying for an endpoint I no longer need?"
_QUESTION_CHARACTERS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings, and where to listen."""
    parser.add_argument("--stage", default=LOCAL_STAGE, help="the settings: config/<stage>.toml")
    parser.add_argument("--corpus", help="a corpus file instead of the one in the settings")
    parser.add_argument("--config", help="a folder with settings, instead of config")
    parser.add_argument("--weights", type=Path, help="a folder with the weights of another model")
    parser.add_argument("--port", type=_port, default=4566, help="(default: %(default)s)")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) >= 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a number from 0 to 65535")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Starts the local AWS, deploys, prints what to ask, and serves until Ctrl-C."""
    began = time.monotonic()
    choice = Choice.read(options.stage, options.corpus, options.config)
    from commands import local_app

    weights = local_app.find_weights(choice.settings, options.weights)
    with local_app.serving(choice, options.port) as running:
        console.print(f"Local AWS at {running.endpoint_url}; its log is {LOG_FILE}")
        # The bake's own lines, between those of the CDK.
        logging.getLogger("local_aws.sagemaker.training").addHandler(logging.StreamHandler())
        if status := local_app.first_deploy(running, choice, weights):
            console.print("The deployment failed; see above.", style="red")
            return status
        for warning in local_app.synth_warnings():
            console.print(warning, style="yellow", markup=False, highlight=False)
        if choice.settings.search.has_vector_index:
            from commands import index_load
            from commands.target import Target

            index_load.wait(Target(running.region, running), choice.settings)
        corpus = choice.settings.corpus.path
        if corpus != SAMPLE:
            corpus = canonical_corpus(choice.settings)
        question = first_question(corpus)
        _print_invitation(running, question, began, choice.settings.api.console)
        threading.Event().wait()
    return 0


def first_question(corpus: Path | None) -> str:
    """A question that the corpus answers: its first one, or the beginning of its first answer."""
    if corpus is None or corpus.resolve() == SAMPLE:
        return SAMPLE_QUESTION
    entry = next(iter(iter_corpus(corpus)))
    text = " ".join((entry.question or entry.answer).split())
    if entry.question is None:
        text = re.split(r"(?<=[.!?。])\s", text, maxsplit=1)[0]
    return text[:_QUESTION_CHARACTERS]


def curl(api: dict[str, str], question: str, credentials: str) -> str:
    """A command for any POSIX shell that asks the API a question.

    Args:
        credentials: `id:secret`, for an API that takes signed requests.
    """
    match api["auth"]:
        case "api_key":
            identity = shlex.join(["-H", f"x-api-key: {api['api_key']}"])
        case "jwt":
            identity = f'-H "Authorization: Bearer ${TOKEN}"'
        case _:
            signing = ["--aws-sigv4", f"aws:amz:{api['region']}:execute-api"]
            identity = shlex.join([*signing, "--user", credentials])
    asked = {"queries": [question], "top_k": 3}
    body = json.dumps(asked, ensure_ascii=False)
    if not body.isprintable():  # a terminal could swallow or reorder some of it
        body = json.dumps(asked)
    return (
        f"curl -s {identity} -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)} \\\n  {api['url']}/search"
    )


def _print_invitation(running: Running, question: str, began: float, with_console: bool) -> None:
    """Asks the first question, and shows how to ask the next one."""
    api = json.loads(API_FILE.read_text())
    lines = []
    if api["auth"] != "jwt":  # only the issuer makes tokens
        with find_api({}, local_file=API_FILE).connect() as client:
            (hits,) = client.search([question], top_k=1).results
        seconds = time.monotonic() - began
        lines = [
            f"[bold]The first question was answered {seconds:.0f} s after the start:[/bold]",
            f"  {escape(question)}",
            f"  {escape(hits[0].answer or hits[0].id)} [dim](score {hits[0].score:.2f})[/dim]",
            "",
        ]
    proof = {
        "api_key": f"API key  {api['api_key']}",
        "iam": "Requests are signed (SigV4).",
        "jwt": f"Set {TOKEN} to a token of the issuer in the settings.",
    }
    lines += [
        f"URL      {api['url']}",
        *([f"Console  {api['url']}/console"] if with_console else []),
        proof[api["auth"]],
        "",
        "In a second terminal:",
        f"  .venv/bin/python -m faq_search {escape(shlex.quote(question))}",
        "With another corpus:",
        "  make diff CORPUS=corpus/sample/multilingual.jsonl",
        "  make deploy CORPUS=corpus/sample/multilingual.jsonl",
        "make help lists every command. Ctrl-C here stops everything.",
    ]
    console.print(Panel("\n".join(lines), title="FAQ search is up", expand=False))
    key = running.context.administrator
    # Outside of the frame, so that it can be copied.
    print(curl(api, question, f"{key.id}:{key.secret}") + "\n", flush=True)
