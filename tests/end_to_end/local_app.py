"""Runs `make local`'s commands as a person would: as processes, over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from corpus.reader import Entry, read_corpus
from faq_search.api import FaqSearch
from faq_search.settings import find_api
from local_aws.context import Context
from local_aws.iam.report import Reasons, read
from tests.support import local_logs

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "corpus/sample/amazon_sagemaker_faq.csv"
# A second stage beside the first: signed requests, one small endpoint, and its corpus in an index.
SIGNED = (ROOT / "config/dev.toml").read_text(encoding="utf-8").replace('"api_key"', '"iam"', 1)
SIGNED += '\n[search]\nengine = "s3_vectors"\n'
KEEP_UNANSWERED = "\n[search]\nkeep_unanswered = true\n"
UP_SECONDS = 400  # for the slowest machine; the README says what a usual one takes


@dataclass
class LocalApp:
    """One `up`, and the commands of the second terminal.

    state: where it keeps what it writes, so that a `make local` of this checkout is left alone.
    stage, config: which settings. python: of the environment that `make install` made.
    """

    state: Path
    stage: str = "local"
    config: Path = ROOT / "config"
    python: Path = Path(sys.executable)
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def output(self) -> str:
        """Everything `up` has printed."""
        return (self.state.parent / "up.txt").read_text(encoding="utf-8")

    def start(self) -> LocalApp:
        """Returns once `up` has shown how to ask."""
        self.launch()
        self.wait_for("/search\n")  # the last line of the invitation
        return self

    def launch(self) -> None:
        local_logs.started.append(self.state / "local_aws.log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--stage", self.stage, "--config", str(self.config), "--port", str(port)]
        with (self.state.parent / "up.txt").open("wb") as output:
            self.process = subprocess.Popen(
                self._command("local", *options),
                cwd=ROOT,
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str) -> None:
        """Returns once `up` has printed `text`."""
        deadline = time.monotonic() + UP_SECONDS
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.2)

    def interrupt(self) -> int:
        """Ctrl-C, as a terminal sends it to every process of the group; the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)

    def run(
        self, command: str, corpus: Path | None = None, stage: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`deploy`, `diff` or `destroy`, as from a second terminal."""
        options = ["--corpus", str(corpus)] if corpus else []
        # It uses what `make local` was given, unless it names another stage.
        if stage:
            options += ["--local", "--stage", stage, "--config", str(self.config)]
        return self.run_command(command, *options)

    def run_command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the second terminal."""
        return subprocess.run(
            self._command(*arguments),
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )

    def deploy(self, corpus: Path | None = None, stage: str | None = None) -> str:
        result = self.run("deploy", corpus, stage)
        assert result.returncode == 0, result.stdout
        return result.stdout

    @property
    def api(self) -> dict[str, Any]:
        return json.loads((self.state / "api.json").read_text())

    def client(self) -> FaqSearch:
        return find_api({}, local_file=self.state / "api.json").connect()

    @property
    def context(self) -> Context:
        running = json.loads((self.state / "running.json").read_text())
        return Context(running["endpoint_url"], running["region"], self.state)

    def boto(self, service: str) -> Any:
        return self.context.client(service)

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-m", "commands", *arguments]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LOCAL_STATE": str(self.state), "PYTHONUNBUFFERED": "1"}


@contextmanager
def deployed_app(folder: Path) -> Iterator[LocalApp]:
    """The app with the sample corpus, until the `with` block ends."""
    config = folder / "config"
    config.mkdir()
    corpus = folder / "faq.jsonl"
    corpus.write_text("".join(map(_with_category, read_corpus(SAMPLE))), encoding="utf-8")
    settings = (ROOT / "config/local.toml").read_text(encoding="utf-8") + KEEP_UNANSWERED
    (config / "local.toml").write_text(settings.replace(str(SAMPLE.relative_to(ROOT)), str(corpus)))
    (config / "signed.toml").write_text(SIGNED)
    app = LocalApp(folder / "state", config=config)
    try:
        yield app.start()
    finally:
        if app.process.poll() is None:
            app.interrupt()
    report = read([app.state / "iam/decisions.jsonl"])
    reasons = Reasons.read(ROOT / "stacks/unused_grants.toml")
    assert reasons.superfluous(report) == []


def _with_category(entry: Entry) -> str:
    """An entry of the sample as a JSON line, with a category that the sample does not have."""
    category = "odd" if int(entry.id) % 2 else "even"
    return replace(entry, fields={"category": category}).canonical()


def processes(group: int) -> list[str]:
    """Command lines of the processes in the session that `up` leads, once the dying have died."""
    deadline = time.monotonic() + 3
    while True:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if os.getsid(int(folder.name)) == group:
                        found.append((folder / "cmdline").read_text().replace("\0", " "))
                except (ProcessLookupError, FileNotFoundError):
                    continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)
