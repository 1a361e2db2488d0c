"""What all commands of `faq-search` have in common: global options, help, and a default command."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import click

from faq_search import __version__, settings
from faq_search.errors import FaqSearchError, InputError
from faq_search.output import Output

if TYPE_CHECKING:
    import httpx
    from rich.console import Console

    from faq_search.api import FaqSearch

PROGRAM: Final = "faq-search"

EXIT_STATUS: Final = """\b
Exit status:
  0    success
  1    the API or AWS refused or could not be reached, or a file cannot be used;
       no endpoint is healthy; the batch failed or was stopped
  2    wrong usage
  130  interrupted by Ctrl-C
  141  nobody reads the output
"""


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        given: the global options that were given, wherever they stood.
        transport, console: for tests; a console makes standard output a terminal.
        loaded: called before the first request.
    """

    transport: httpx.BaseTransport | None = None
    console: Console | None = None
    loaded: Callable[[], object] = bool
    given: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def out(self) -> Output:
        return Output(as_json="json" in self.given, console=self.console)

    @cached_property
    def api(self) -> settings.Api:
        """The API to ask. Raises InputError when there is none."""
        names = ("url", "api_key", "token", "iam", "region", "stage")
        return settings.find_api(**{k: v for k, v in self.given.items() if k in names})

    def connect(self) -> FaqSearch:
        """A client of it."""
        # httpx would load its own command line, which takes as long as all the rest.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
        options = {k: v for k, v in self.given.items() if k in ("timeout", "retries")}
        if sys.stderr.isatty():
            options["on_retry"] = self._say_retry
        client = self.api.connect(**options, transport=self.transport)
        if self.out.terminal:
            self.out.console.size  # noqa: B018 - loads what is needed of rich
        self.loaded()
        return client

    def _say_retry(self, error: FaqSearchError, pause: float) -> None:
        self.out.remark(f"{error} Trying again in {pause:.1f} seconds …")

    def message_of(self, error: Exception) -> str | None:
        """What a person, or with --json a program, should read about an error; None for a bug."""
        if isinstance(error, FaqSearchError):
            lines = [str(error), *self._asked(error)]
            found: dict[str, object] = {"code": error.code, "message": error.message}
            if error.request_id:
                lines.append(f"request id: {error.request_id}")
                found["request_id"] = error.request_id
        elif text := _sentence(error):
            lines, found = [text], {"code": "refused", "message": text}
        else:
            return None
        return json.dumps(found, ensure_ascii=False) if "json" in self.given else "\n".join(lines)

    def _asked(self, error: FaqSearchError) -> list[str]:
        """Where that was, for what is often the fault of settings."""
        source = f", found in {self.api.found_in}" if self.api.found_in else ""
        if error.code in ("forbidden", "unauthorized"):
            by = {"iam": "AWS credentials", "jwt": "a token"}.get(self.api.auth, "an API key")
            return [f"Asked with {by}: {self.api.url}{source}."]
        if error.code in ("unreachable", "no_answer", "unreadable") and source:
            return [f"The URL: {self.api.url}{source}."]
        return []


def _sentence(error: Exception) -> str | None:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    from corpus.reader import CorpusError  # noqa: PLC0415 - with the commands that read one

    return str(error) if isinstance(error, CorpusError) else None


class _GlobalOption(click.Option):
    """One that may stand before or after the command."""

    def __init__(self, *names: str, **attributes: Any) -> None:
        super().__init__(names, expose_value=False, callback=_keep, **attributes)


def _keep(context: click.Context, option: click.Parameter, value: object) -> None:
    name = str(option.name)
    if context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
        return
    if name == "version":
        click.echo(f"{PROGRAM} {__version__}")
        context.exit()
    if (session := context.find_object(Session)) is not None:
        session.given[name] = value


def _global_options() -> list[click.Parameter]:
    local = "that of `make local`"
    return [
        _GlobalOption(
            "--url", metavar="URL", help=f"The API. Default: {settings.URL}, or {local}."
        ),
        _GlobalOption(
            "--stage",
            metavar="NAME",
            help="The API of this stage, found with AWS credentials by its stack's outputs."
            f" Default: {settings.STAGE}.",
        ),
        _GlobalOption(
            "--api-key",
            metavar="KEY",
            help=f"Default: {settings.API_KEY}, which others on this machine cannot see.",
        ),
        _GlobalOption(
            "--token", metavar="TOKEN", help=f"A bearer token. Default: {settings.TOKEN}."
        ),
        _GlobalOption("--iam", is_flag=True, help="Sign with AWS credentials; needs botocore."),
        _GlobalOption(
            "--region", metavar="REGION", help="For --iam and --stage. Default: AWS's settings."
        ),
        _GlobalOption(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait for an answer.",
        ),
        _GlobalOption(
            "--retries",
            type=click.IntRange(0, 10),
            default=3,
            show_default=True,
            metavar="N",
            help="Further tries after 429, 502, 503 and 504.",
        ),
        _GlobalOption(
            "--json", is_flag=True, help="Print JSON; into a pipe, each result on one line."
        ),
        _GlobalOption("--version", is_flag=True, is_eager=True, help="Show the version and exit."),
    ]


class Command(click.Command):
    """A command with the global options, which its help shows by themselves."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        attributes.setdefault("epilog", EXIT_STATUS)
        attributes.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*arguments, **attributes)
        self.params.extend(_global_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the command's own options, then its commands, then the global options."""
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):
                is_own = not isinstance(param, _GlobalOption) and "--help" not in param.opts
                (own if is_own else common).append(record)
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        with formatter.section("Options of every command, before or after its name"):
            formatter.write_dl(common)


class Group(Command, click.Group):
    """Commands, of which `default` need not be named."""

    command_class = Command

    def __init__(
        self,
        *arguments: Any,
        default: str,
        former: dict[str, Sequence[str]] | None = None,
        **attributes: Any,
    ) -> None:
        # What the group does not know belongs to the default command.
        attributes["context_settings"] = {
            "help_option_names": ["-h", "--help"],
            "ignore_unknown_options": True,
        }
        super().__init__(*arguments, **attributes)
        self._default = default
        self._former = former or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """In the order in which they stand in the source."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named, under its former name, or the default one."""
        args = [*self._former.get(args[0], args[:1]), *args[1:]]
        if args[0] not in self.commands:
            self._check(ctx, args)
            args = [self._default, *args]
        return super().resolve_command(ctx, args)

    def _check(self, ctx: click.Context, args: Sequence[str]) -> None:
        """Refuses what was hardly meant for the default command."""
        words = list(takewhile(lambda arg: not arg.startswith("-"), args))
        if ctx.resilient_parsing or not words or any(len(word.split()) > 1 for word in words):
            return
        default = f"{ctx.command_path} {self._default}"
        if close := difflib.get_close_matches(words[0], self.commands, n=1, cutoff=0.75):
            ctx.fail(
                f"There is no command {words[0]!r}. Is it {close[0]!r}? Otherwise:"
                f" {default} {words[0]}"
            )
        if len(words) > 1:
            ctx.fail(
                f"{' '.join(words)!r} came in as {len(words)} words. Put a question into quotes;"
                f" for questions of one word: {default} {words[0]} …"
            )
