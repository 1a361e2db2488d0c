"""Command line: `python -m corpus validate FILE`, `python -m corpus fetch`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from corpus.fetch import DEFAULT_REGION, FILE_NAME, FetchError, fetch
from corpus.reader import CorpusError, CorpusInfo, Embed, describe, iter_corpus


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 1 after printing what is wrong, or 130 on Ctrl-C."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "validate":
            info = describe(given.file, embed=given.embed)
            print(_summary(given.file, info))
        else:
            info = fetch(given.output, given.region, progress=_show_progress)
            print(_summary(given.output, info))
            print(f'To use it, set in config/<stage>.toml: [corpus] path = "{given.output}"')
    except (CorpusError, FetchError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m corpus", description="Check or get a corpus.")
    commands = parser.add_subparsers(dest="command", required=True)
    validate = commands.add_parser("validate", help="check a file and summarise it")
    validate.add_argument("file", type=Path)
    validate.add_argument(
        "--embed",
        choices=get_args(Embed),
        default="answer",
        help="as in the settings: question and both need a question in every entry "
        "(default: %(default)s)",
    )
    get = commands.add_parser("fetch", help=f"download AWS's own {FILE_NAME}")
    get.add_argument("output", type=Path, nargs="?", default=Path(FILE_NAME))
    get.add_argument("--region", default=DEFAULT_REGION, help="(default: %(default)s)")
    return parser


def _summary(file: Path, info: CorpusInfo) -> str:
    questions = "all with a question" if info.has_questions else "not all with a question"
    first = next(iter_corpus(file))
    return (
        f"{file}: {info.entries:,} entries, {questions}; {info.bytes:,} bytes\n"
        f"sha256: {info.sha256}\n"
        # A file of id,text without its header reads as question,answer: the first entry shows it.
        f"first entry: id {first.id!r}, question {_short(first.question)}, "
        f"answer {_short(first.answer)}"
    )


def _short(text: str | None) -> str:
    if text is None:
        return "none"
    return repr(text if len(text) <= 60 else text[:59] + "…")


def _show_progress(received: int, total: int | None) -> None:
    of = f" of {total:,}" if total is not None else ""
    end = "\n" if received == total else ""
    print(f"\r{received:,}{of} bytes", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
