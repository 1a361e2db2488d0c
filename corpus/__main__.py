"""Command line: `python -m corpus validate FILE`, `convert FILE`, `fetch`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from corpus.convert import convert
from corpus.entry import Entry
from corpus.errors import shown
from corpus.fetch import DEFAULT_REGION, FILE_NAME, FetchError, fetch
from corpus.model import DEFAULT_MODEL, UnknownModelError, read_model
from corpus.reader import CorpusError, CorpusInfo, Format, describe

_INDENT = "  "


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 1 after printing what is wrong, or 130 on Ctrl-C."""
    given = _parser().parse_args(arguments)
    command = {"validate": _validate, "convert": _convert, "fetch": _fetch}[given.command]
    try:
        return command(given)
    except (CorpusError, FetchError, UnknownModelError) as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:
        # Python flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m corpus", description="Check, convert or get a corpus."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    validate = commands.add_parser("validate", help="check a file and show how it is read")
    validate.add_argument("file", type=Path)
    _add_format(validate)
    validate.add_argument(
        "--strict", action="store_true", help="fail if there is anything to warn of"
    )
    validate.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="warn of what this model cannot read (default: %(default)s)",
    )
    validate.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="the model's tokenizer.json, where it is not known here",
    )
    to_lines = commands.add_parser("convert", help="write a file as canonical JSON lines")
    to_lines.add_argument("file", type=Path)
    to_lines.add_argument("output", type=Path, nargs="?", help="default: the same name with .jsonl")
    _add_format(to_lines)
    get = commands.add_parser("fetch", help=f"download AWS's own {FILE_NAME}")
    get.add_argument("output", type=Path, nargs="?", default=Path(FILE_NAME))
    get.add_argument("--region", default=DEFAULT_REGION, help="(default: %(default)s)")
    return parser


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--encoding", help="of a text file, such as cp1252 (default: UTF-8, or UTF-16 by its mark)"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        type=_mapping,
        metavar="question=COLUMN",
        help="which column or key is the question, answer, id, url or category; by its name, or"
        " without a header by its number from 1. Repeatable, also for several questions",
    )


def _mapping(text: str) -> tuple[str, str]:
    role, equals, column = text.partition("=")
    if not (role.strip() and equals and column.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not like question=Frage")
    return role.strip(), column


def _format(given: argparse.Namespace) -> Format:
    columns: dict[str, list[str]] = {}
    for role, column in given.map:
        columns.setdefault(role, []).append(column)
    return Format(given.encoding, columns or None)


def _validate(given: argparse.Namespace) -> int:
    model = read_model(given.model, tokenizer_file=given.tokenizer)
    info = describe(given.file, format_=_format(given), model=model)
    print(_summary(given.file, info))
    sys.stdout.flush()
    _print_warnings(info)
    if info.warnings and given.strict:
        print("With --strict, warnings are errors.", file=sys.stderr)
        return 1
    return 0


def _convert(given: argparse.Namespace) -> int:
    output = given.output or given.file.with_suffix(".jsonl")
    if output.exists() and output.samefile(given.file):
        print(f"{output} is the file itself; name another for the result", file=sys.stderr)
        return 1
    format_ = _format(given)
    info = describe(given.file, format_=format_)
    convert(given.file, output, format_=format_)
    print(f"{output}: {_counted(info)}")
    _print_warnings(info)
    return 0


def _fetch(given: argparse.Namespace) -> int:
    info = fetch(given.output, given.region, progress=_show_progress)
    print(_summary(given.output, info))
    print(f'To use it, set in config/<stage>.toml: [corpus] path = "{given.output}"')
    return 0


def _print_warnings(info: CorpusInfo) -> None:
    for warning in info.warnings:
        print(f"Warning: {warning}", file=sys.stderr)


def _summary(file: Path, info: CorpusInfo) -> str:
    questions = "all with a question" if info.has_questions else "not all with a question"
    first = "The first entry" if len(info.first) == 1 else f"The first {len(info.first)} entries"
    return "\n".join(
        [
            f"{file}: {_counted(info)}, {questions}",
            *(f"{_INDENT}{note}" for note in info.notes),
            f"sha256 of the entries: {info.sha256}",
            f"{first}, as read:",
            *(line for entry in info.first for line in _lines(entry)),
        ]
    )


def _counted(info: CorpusInfo) -> str:
    return "1 entry" if info.entries == 1 else f"{info.entries:,} entries"


def _lines(entry: Entry) -> list[str]:
    named = [
        ("id", entry.id),
        *(("question", question) for question in entry.questions),
        ("answer", entry.answer),
        *entry.fields.items(),
    ]
    lines = [f"{_INDENT}{name}: {shown(str(value))}" for name, value in named]
    return [f"- {lines[0].strip()}", *lines[1:]]


def _show_progress(received: int, total: int | None) -> None:
    of = f" of {total:,}" if total is not None else ""
    end = "\n" if received == total else ""
    print(f"\r{received:,}{of} bytes", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
