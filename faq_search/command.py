"""The commands of `faq-search`."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from faq_search.batch_commands import batch
from faq_search.errors import InputError
from faq_search.exits import guard
from faq_search.parsing import PROGRAM, Group, Session

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

    from faq_search.results import Hit, ServedBy

T = TypeVar("T")

_COMPLETE = "_FAQ_SEARCH_COMPLETE"
# Small enough for the slowest model on a CPU to answer well within the API's time.
_AT_ONCE = 16
_MOST_HITS = 2000


def main(
    arguments: Sequence[str] | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
    console: Console | None = None,
    loaded: Callable[[], object] = bool,
) -> int:
    """Runs one command; returns the exit status, which `--help` explains.

    Args:
        transport, console, loaded: as in Session.
    """
    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete  # noqa: PLC0415 - for the shell alone

        return shell_complete(cli, {}, PROGRAM, _COMPLETE, instruction)
    if isinstance(sys.stdout, io.TextIOWrapper):  # some terminals cannot show everything
        sys.stdout.reconfigure(errors="backslashreplace")
    session = Session(transport, console, loaded)
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guard(lambda: _run(given, session), session.message_of)


def _run(arguments: list[str], session: Session) -> int:
    try:
        with cli.make_context(PROGRAM, arguments, obj=session) as context:
            return cli.invoke(context) or 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code


_FORMER_NAMES = {
    "search": ["ask"],
    "batch-status": ["batch", "status"],
    "batch-wait": ["batch", "wait"],
    "batch-stop": ["batch", "stop"],
    "batch-download": ["batch", "results"],
}


@click.group(cls=Group, default="ask", former=_FORMER_NAMES)
def cli() -> None:
    """Ask a deployed FAQ search.

    \b
      faq-search "Is R supported?"
      faq-search --stage dev "Is R supported?"
      faq-search batch submit texts.jsonl -o embeddings.jsonl

    On a terminal, results are laid out for people. Into a pipe goes a line for each, its parts
    separated by tabs and nothing cut; with --json, JSON.
    """


top_k = click.option(
    "--top-k",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="How many hits.",
)
instance_type = click.option(
    "--instance-type", metavar="TYPE", help="Ask this one first, such as ml.g5.2xlarge."
)


@cli.command(short_help="Ask the deployed corpus.")
@click.argument(
    "questions",
    nargs=-1,
    required=True,
    metavar="QUESTION...",
    help="Each in quotes. - reads one a line from standard input.",
)
@top_k
@click.option(
    "--min-score",
    type=click.FloatRange(-1, 1),
    metavar="SCORE",
    help="Leave out hits that score less. Default: the stage's.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="Withhold an answer that is not this far ahead of the next. Default: the stage's.",
)
@click.option(
    "--category", multiple=True, metavar="NAME", help="Only entries of this one; repeatable."
)
@instance_type
@click.pass_obj
def ask(
    session: Session,
    *,
    questions: tuple[str, ...],
    top_k: int,
    min_score: float | None,
    margin: float | None,
    category: tuple[str, ...],
    instance_type: str | None,
) -> None:
    """Ask the deployed corpus.

    `faq-search "Is R supported?"` is short for `faq-search ask "Is R supported?"`. Piped: question,
    score, id, the entry's question, its answer.
    """
    out = session.out
    with session.connect() as api:
        for some in _batched(_texts(questions), min(_AT_ONCE, max(1, _MOST_HITS // top_k))):
            found = api.search(
                some, top_k, min_score, instance_type, margin=margin, category=category or None
            )
            for question, hits in zip(some, found.results, strict=True):
                if out.as_json:
                    served = {"bake_id": found.bake_id, "served_by": _dict(found.served_by)}
                    out.json({"question": question, "hits": [*map(_dict, hits)], **served})
                elif out.terminal:
                    _show(session, question, hits)
                else:
                    for hit in hits:
                        out.line(question, hit.score, hit.id, hit.question, hit.answer)
                if not hits and not out.as_json:
                    out.remark(f"No answer: {question}")
            out.say(_served(found.served_by))


def _show(session: Session, question: str, hits: Sequence[Hit]) -> None:
    from rich.padding import Padding  # noqa: PLC0415 - takes a while to load
    from rich.text import Text  # noqa: PLC0415

    from faq_search.output import printable  # noqa: PLC0415

    console = session.out.console
    console.print(Text(printable(question), "bold"))
    for place, hit in enumerate(hits, 1):
        head = Text.assemble(
            f"{place:>2}. ",
            (f"{printable(hit.question or '')}  ", "cyan") if hit.question else "",
            (f"score {hit.score:.3f}, id {printable(hit.id)}", "dim"),
        )
        console.print(head)
        answer = hit.answer if hit.passage is None else f"… {hit.passage} …"
        fields = [f"{name}: {value}" for name, value in hit.fields.items()]
        body = "\n".join([*([answer] if answer else []), *fields])
        console.print(Padding(Text(printable(body)), (0, 0, 1, 4)))


@cli.command(short_help="Embed texts.")
@click.argument(
    "texts",
    nargs=-1,
    required=True,
    metavar="TEXT...",
    help="- reads one a line from standard input.",
)
@instance_type
@click.pass_obj
def embed(session: Session, texts: tuple[str, ...], instance_type: str | None) -> None:
    """Embed texts.

    Piped: the text, then the numbers of its embedding.
    """
    out = session.out
    with session.connect() as api:
        for some in _batched(_texts(texts), _AT_ONCE):
            found = api.embed(some, instance_type)
            pairs = list(zip(some, found.embeddings, strict=True))
            if out.terminal and not out.as_json:
                starts = ("  ".join(f"{number:+.4f}" for number in each[:4]) for _, each in pairs)
                rows = [(t, len(e), start) for (t, e), start in zip(pairs, starts, strict=True)]
                out.table(None, ("text", "numbers", "starts with"), rows)
                out.say(_served(found.served_by))
                continue
            for text, numbers in pairs:
                if out.as_json:
                    out.json({"text": text, "embedding": numbers})
                else:
                    out.line(text, *numbers)


@cli.command(short_help="Find nearest neighbours in texts of your own.")
@click.argument(
    "queries",
    nargs=-1,
    required=True,
    metavar="QUERY...",
    help="- reads one a line from standard input.",
)
@click.option(
    "--corpus",
    required=True,
    metavar="FILE",
    help="The texts, one a line; - is standard input.  [required]",
)
@top_k
@instance_type
@click.pass_obj
def nearest(
    session: Session,
    queries: tuple[str, ...],
    corpus: str,
    top_k: int,
    instance_type: str | None,
) -> None:
    """Find nearest neighbours in texts of your own.

    Piped: query, score, the text's number from 0, the text.
    """
    if corpus == "-" and "-" in queries:
        raise click.UsageError("Standard input cannot be both the corpus and the queries.")
    out = session.out
    texts = _lines(corpus)
    with session.connect() as api:
        for some in _batched(_texts(queries), _AT_ONCE):
            found = api.nearest(texts, some, top_k, instance_type)
            for query, hits in zip(some, found.results, strict=True):
                rows = [(hit.score, hit.corpus_id, texts[hit.corpus_id]) for hit in hits]
                if out.as_json:
                    names = ("score", "corpus_id", "text")
                    listed = [dict(zip(names, row, strict=True)) for row in rows]
                    out.json({"query": query, "hits": listed})
                else:
                    out.rows(query, ("score", "number", "text"), rows, key=query)
            out.say(_served(found.served_by))


@cli.command(short_help="Compare texts with each other.")
@click.argument(
    "texts",
    nargs=-1,
    required=True,
    metavar="TEXT...",
    help="Two or more. - reads one a line from standard input.",
)
@click.option(
    "--png",
    metavar="FILE",
    help="Draw a heat map instead; - is standard output. Needs matplotlib.",
)
@instance_type
@click.pass_obj
def similarity(
    session: Session, texts: tuple[str, ...], png: str | None, instance_type: str | None
) -> None:
    """Compare texts with each other.

    Shows the cosine similarity of each pair. Piped: the text, then its similarity to each.
    """
    from faq_search.similarity import draw_heat_map, similarities  # noqa: PLC0415

    out = session.out
    given = _texts(texts)
    if len(given) < 2:
        raise click.UsageError("Give two texts or more.")
    vectors: list[list[float]] = []
    with session.connect() as api:
        for some in _batched(given, _AT_ONCE):
            vectors += api.embed(some, instance_type).embeddings
        deployed = api.endpoints() if png else None
    values = similarities(vectors)
    if png and deployed:
        title = f"{deployed.model_id} {deployed.model_version}"
        draw_heat_map(values, given, title, sys.stdout.buffer if png == "-" else png)
        if png != "-":
            out.remark(f"{png} is written.")
    elif out.as_json or not out.terminal:
        for text, row in zip(given, values, strict=True):
            if out.as_json:
                out.json({"text": text, "similarities": row})
            else:
                out.line(text, *row)
    else:
        _show_matrix(session, given, values)


def _show_matrix(session: Session, texts: Sequence[str], values: list[list[float]]) -> None:
    from rich.text import Text  # noqa: PLC0415 - takes a while to load

    from faq_search.output import printable  # noqa: PLC0415

    console = session.out.console
    for number, text in enumerate(texts, 1):
        console.print(Text(printable(f"{number:>3}  {' '.join(text.split())}")))
    columns = max(1, (console.width - 4) // 6)
    for first in range(0, len(texts), columns):  # as many beside each other as there is room for
        shown = range(first, min(first + columns, len(texts)))
        console.print(Text("\n    " + "".join(f"{number + 1:^6}" for number in shown)))
        for number, row in enumerate(values, 1):
            line = Text(f"{number:>3} ")
            for column in shown:
                line.append(f"{row[column] + 0.0:^6.2f}", _heat(row[column]))
            console.print(line)


def _heat(value: float) -> str:
    """White for 0 and less, red for 1."""
    share = min(max(value, 0.0), 1.0)
    red, green, blue = (round(255 - most * share) for most in (35, 185, 205))
    return f"black on rgb({red},{green},{blue})"


@cli.command(short_help="Show what is deployed.")
@click.pass_obj
def endpoints(session: Session) -> None:
    """Show what is deployed.

    Piped: instance type and name of each endpoint.
    """
    out = session.out
    with session.connect() as api:
        found = api.endpoints()
    if out.as_json:
        out.json(_dict(found))
        return
    rows = [(each.instance_type, each.endpoint_name) for each in found.endpoints]
    out.rows(None, ("instance type", "endpoint"), rows)
    out.say(f"model    {found.model_id} {found.model_version}, {found.dimension} dimensions")
    out.say(f"corpus   sha256 {found.corpus_sha256}")
    out.say(f"bake     {found.bake_id}")
    out.say(f"serving  {found.serving}")


@cli.command(short_help="Show whether the endpoints answer.")
@click.pass_obj
def health(session: Session) -> int:
    """Show whether the endpoints answer. Fails unless one of them serves the deployed bake.

    Piped: instance type, status and bake of each endpoint.
    """
    out = session.out
    with session.connect() as api:
        found = api.health()
    if out.as_json:
        out.json(_dict(found))
    else:
        rows = [(each.instance_type, each.status, each.bake_id) for each in found.endpoints]
        out.rows(None, ("instance type", "status", "bake"), rows)
        out.say(f"deployed bake: {found.bake_id}")
        if found.switched_off:
            out.remark("The endpoints are switched off; `make on` switches them on.")
    return 0 if found.ok else 1


cli.add_command(batch)


@cli.command(short_help="Measure how well questions find their answers.")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The corpus that is deployed. Default: this project's sample.",
)
@click.option(
    "--paraphrases",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Held-out questions, as CSV with the columns question and id. Default: the sample's,"
    " for the sample.",
)
@click.option(
    "--misses",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the hardest questions to show; --json has all of them.",
)
@click.pass_obj
def evaluate(session: Session, corpus: Path | None, paraphrases: Path | None, misses: int) -> None:
    """Measure how well questions find their answers: top-1, top-3, MRR.

    Asks every question of the corpus, and held-out ones. Piped: what a line is about, then its
    figures.
    """
    from faq_search import evaluate as evaluation  # noqa: PLC0415 - reads corpora

    if corpus is None:
        corpus, paraphrases = evaluation.SAMPLE, paraphrases or evaluation.SAMPLE_PARAPHRASES
    with session.connect() as api:
        report = evaluation.evaluate(api, corpus, paraphrases, session.out, misses=misses)
    if session.out.as_json:
        session.out.json(report)


@cli.command(short_help="Print a script that completes commands in your shell.")
@click.argument(
    "shell",
    type=click.Choice(["bash", "zsh", "fish"]),
    required=False,
    help="Default: the one in SHELL.",
)
def completion(shell: str | None) -> None:
    """Print a script that completes commands in your shell.

    \b
      bash  eval "$(faq-search completion bash)"        in ~/.bashrc
      zsh   eval "$(faq-search completion zsh)"         in ~/.zshrc
      fish  faq-search completion fish > ~/.config/fish/completions/faq-search.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this alone

    shell = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError("Name your shell: bash, zsh or fish.")
    print(found(cli, {}, PROGRAM, _COMPLETE).source())


def _texts(given: Sequence[str]) -> list[str]:
    """The texts, with the lines of standard input in the place of `-`."""
    texts: list[str] = []
    for text in given:
        texts += _lines("-") if text == "-" else [text]
    return texts


def _lines(file: str) -> list[str]:
    """The lines of a file, `-` being standard input, without blank ones."""
    if file == "-" and sys.stdin.isatty():
        print("One text a line; Ctrl-D ends.", file=sys.stderr)
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    name = "Standard input" if file == "-" else file
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not in UTF-8 (byte {error.start}).") from error
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{name} has no text.")
    return lines


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _dict(value: Any) -> dict[str, Any]:
    return dataclasses.asdict(value)


def _served(served_by: ServedBy) -> str:
    failed = "".join(f"; {f.instance_type}: {f.reason}" for f in served_by.failed_over_from)
    return f"served by {served_by.instance_type}{failed}"
