"""The command line, without a network: what it prints, and where."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass

import pytest
from rich.console import Console

from faq_search.command import main
from tests.support.client import FakeApi


@dataclass
class Printed:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def fake_api(tmp_path, monkeypatch):
    """The API, which is that of the environment; the working folder is empty."""
    for name in ("URL", "STAGE", "API_KEY", "TOKEN"):
        monkeypatch.delenv(f"FAQ_SEARCH_{name}", raising=False)
    monkeypatch.delenv("LOCAL_STATE", raising=False)
    monkeypatch.setenv("FAQ_SEARCH_URL", "https://faq.example.com/v1")
    monkeypatch.setenv("FAQ_SEARCH_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return FakeApi(url="https://faq.example.com/v1")


@pytest.fixture
def run(fake_api, capsysbinary, monkeypatch):
    """Runs the command line, into a pipe or on a terminal of a width; returns what it printed."""

    def run_(*arguments, stdin=None, width=None, online=False):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        console = width and Console(width=width, markup=False, emoji=False, highlight=False)
        transport = None if online else fake_api.transport()
        status = main(arguments, transport=transport, console=console)
        out, err = capsysbinary.readouterr()
        return Printed(status, out.decode(), err.decode())

    return run_
