"""The command line: `python -m faq_search search "How do I …?" --top-k 3`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from corpus.reader import CorpusError
from faq_search import batch_commands
from faq_search.api import FaqSearch
from faq_search.errors import FaqSearchError
from faq_search.results import Hit, NearestHit, ServedBy
from faq_search.settings import LOCAL_FILE, connect

INTERRUPTED = 130
_SAMPLE_CORPUS = Path("corpus/sample/amazon_sagemaker_faq.csv")
_SAMPLE_PARAPHRASES = Path("corpus/sample/paraphrases.csv")


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Runs one command; returns 0, 1 after an error on standard error, 130 after Ctrl-C."""
    # The corpus may hold [brackets] and :colons:, which are text and not markup.
    console = console or Console(markup=False, emoji=False, highlight=False)
    given = _parser().parse_args(arguments)
    try:
        with connect(
            os.environ, url=given.url, api_key=given.api_key, iam=given.iam, region=given.region
        ) as api:
            return _COMMANDS[given.command](api, given, console)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # nobody reads the output; Python flushes it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (FaqSearchError, CorpusError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        if isinstance(error, FaqSearchError) and error.request_id:
            print(f"request id: {error.request_id}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m faq_search", description="Asks the REST API.")
    parser.add_argument("--url", help=f"default: FAQ_SEARCH_URL, or that of {LOCAL_FILE}")
    parser.add_argument("--api-key", help="default: FAQ_SEARCH_API_KEY, or as for the URL")
    parser.add_argument("--iam", action="store_true", help="sign with AWS credentials")
    parser.add_argument("--region", help="of the API, for --iam; default: the URL's")
    commands = parser.add_subparsers(dest="command", required=True)

    search = commands.add_parser("search", help="ask the deployed corpus")
    search.add_argument("queries", nargs="+", metavar="QUESTION")
    search.add_argument("--top-k", type=int, default=3)
    search.add_argument("--min-score", type=float, help="leave out what scores less")
    search.add_argument("--margin", type=float, help="withhold what is not this far ahead")
    search.add_argument("--category", action="append", help="only of this one; may be repeated")

    embed = commands.add_parser("embed", help="embed texts")
    embed.add_argument("texts", nargs="+", metavar="TEXT")

    nearest = commands.add_parser("nearest", help="find nearest neighbours in your own texts")
    nearest.add_argument("queries", nargs="+", metavar="QUERY")
    nearest.add_argument(
        "--corpus", type=Path, required=True, help="a file with one text a line", metavar="FILE"
    )
    nearest.add_argument("--top-k", type=int, default=3)

    for command in (search, embed, nearest):
        command.add_argument("--instance-type", help="ask this one first")
        command.add_argument("--json", action="store_true", help="print the results as JSON")

    commands.add_parser("endpoints", help="what is deployed")
    commands.add_parser("health", help="whether the endpoints answer; fails unless one does")

    batch_commands.add(commands)

    evaluate = commands.add_parser("evaluate", help="retrieval quality: top-1, top-3, MRR")
    evaluate.add_argument("--corpus", type=Path, default=_SAMPLE_CORPUS, metavar="FILE")
    evaluate.add_argument(
        "--paraphrases",
        type=Path,
        metavar="FILE",
        help="held-out questions and the ids of their answers; default: the sample's, for it",
    )
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def _search(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    found = api.search(
        given.queries,
        given.top_k,
        given.min_score,
        given.instance_type,
        margin=given.margin,
        category=given.category,
    )
    if given.json:
        _print_json(found.results)
        return 0
    for query, hits in zip(given.queries, found.results, strict=True):
        table = Table("score", "id", "question", "answer", "fields", title=query, show_lines=True)
        for hit in hits:
            answer = hit.answer if hit.passage is None else f"… {hit.passage} …"
            fields = "\n".join(f"{name}: {value}" for name, value in hit.fields.items())
            table.add_row(f"{hit.score:.3f}", hit.id, hit.question or "", answer or "", fields)
        if not hits:
            table.caption = "no answer"
        console.print(table)
    console.print(_served(found.served_by))
    return 0


def _embed(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    found = api.embed(given.texts, given.instance_type)
    if given.json:
        print(json.dumps(found.embeddings))
        return 0
    table = Table("text", "numbers", "starts with")
    for text, numbers in zip(given.texts, found.embeddings, strict=True):
        table.add_row(text, str(len(numbers)), " ".join(f"{n:+.4f}" for n in numbers[:6]))
    console.print(table, _served(found.served_by))
    return 0


def _nearest(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    lines = given.corpus.read_text(encoding="utf-8-sig").splitlines()
    corpus = [line for line in lines if line.strip()]
    found = api.nearest(corpus, given.queries, given.top_k, given.instance_type)
    if given.json:
        _print_json(found.results)
        return 0
    for query, hits in zip(given.queries, found.results, strict=True):
        table = Table("score", "corpus_id", "text", title=query)
        for hit in hits:
            table.add_row(f"{hit.score:.3f}", str(hit.corpus_id), corpus[hit.corpus_id])
        console.print(table)
    console.print(_served(found.served_by))
    return 0


def _endpoints(api: FaqSearch, _: argparse.Namespace, console: Console) -> int:
    deployed = api.endpoints()
    table = Table("instance type", "endpoint")
    for endpoint in deployed.endpoints:
        table.add_row(endpoint.instance_type, endpoint.endpoint_name)
    console.print(table)
    console.print(f"model   {deployed.model_id} {deployed.model_version}")
    console.print(f"        {deployed.dimension} dimensions")
    console.print(f"corpus  sha256 {deployed.corpus_sha256}")
    console.print(f"bake    {deployed.bake_id}")
    console.print(f"serving {deployed.serving}")
    return 0


def _health(api: FaqSearch, _: argparse.Namespace, console: Console) -> int:
    health = api.health()
    table = Table("instance type", "status", "bake")
    for line in health.endpoints:
        table.add_row(line.instance_type, line.status, line.bake_id or "")
    console.print(table)
    console.print(f"deployed bake: {health.bake_id}")
    if health.switched_off:
        console.print("The endpoints are switched off; `make on` switches them on.")
    return 0 if health.ok else 1


def _evaluate(api: FaqSearch, given: argparse.Namespace, console: Console) -> int:
    from faq_search.evaluate import evaluate  # noqa: PLC0415 - its progress bars take a while to load

    sample = _SAMPLE_PARAPHRASES if given.corpus == _SAMPLE_CORPUS else None
    report = evaluate(api, given.corpus, given.paraphrases or sample, console)
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _print_json(results: Sequence[Sequence[Hit | NearestHit]]) -> None:
    lists = [[dataclasses.asdict(hit) for hit in hits] for hits in results]
    print(json.dumps(lists, ensure_ascii=False, indent=2))


def _served(served_by: ServedBy) -> str:
    failed = "".join(f"; {f.instance_type}: {f.reason}" for f in served_by.failed_over_from)
    return f"served by {served_by.instance_type}{failed}"


_COMMANDS = {
    "search": _search,
    "embed": _embed,
    "nearest": _nearest,
    "endpoints": _endpoints,
    "health": _health,
    "evaluate": _evaluate,
    **batch_commands.COMMANDS,
}

if __name__ == "__main__":
    sys.exit(main())
