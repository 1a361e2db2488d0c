"""One parser, one way to fail and one way to be interrupted, whatever the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
)

from commands import __main__ as command
from commands.errors import CommandError, guard, message_of
from corpus.reader import CorpusError
from faq_search.errors import FaqSearchError
from stage.bundles import BundleError
from stage.installer import InstallError
from stage.settings import SettingsError

ROOT = Path(__file__).parents[2]


def fail(error: BaseException) -> int:
    raise error


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "No."}}, "DescribeStacks")


class TestFails:
    @pytest.mark.parametrize(
        "error",
        [
            CommandError("Do this."),
            SettingsError("Do this."),
            BundleError("Do this."),
            InstallError("Do this."),
            CorpusError("faq.csv", ["Do this."], 1),
        ],
    )
    def test_with_what_the_error_says(self, error, capsys):
        assert guard(lambda: fail(error)) == 1
        assert tuple(capsys.readouterr()) == ("", "Do this.\n")

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            (FaqSearchError("throttled", "Slow down."), "throttled: Slow down."),
            (NoCredentialsError(), "Sign in"),
            (ProfileNotFound(profile="x"), "Sign in"),
            (client_error("ExpiredTokenException"), "Sign in"),
            (client_error("AccessDenied"), "AWS refused"),
            (EndpointConnectionError(endpoint_url="https://x"), "Check the network"),
            (FileNotFoundError(2, "No such file", "a/b.md"), "a/b.md: No such file"),
        ],
    )
    def test_with_what_to_do_about_errors_of_others(self, error, sentence):
        assert sentence in str(message_of(error))

    @pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), OSError("x")])
    def test_with_a_traceback_only_for_a_bug(self, error):
        with pytest.raises(type(error)):
            guard(lambda: fail(error))

    def test_with_2_for_wrong_usage(self, capsys):
        for arguments in ([], ["frobnicate"], ["prune", "--keep", "0"], ["local", "--port", "x"]):
            with pytest.raises(SystemExit) as ended:
                command.main(arguments)
            assert ended.value.code == 2
            assert "usage: python -m commands" in capsys.readouterr().err

    @pytest.mark.parametrize("options", [[], ["-u"]])
    def test_silently_when_nobody_reads(self, options):
        program = "import sys; from commands.errors import guard; sys.exit(guard(lambda: print(1)))"
        process = subprocess.Popen(
            [sys.executable, *options, "-c", program],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m commands {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["diff"], "No local AWS is running. Start one: make local"),
        (["local", "--stage", "nowhere"], "no settings for stage 'nowhere'"),
        (["local", "--corpus", "none.csv"], "none.csv cannot be used"),
        (["local", "--port", "70000"], "'70000' is not a port"),
        (["deploy", "--stage", "nowhere"], "no settings for stage 'nowhere'"),
    ],
)
def test_a_simple_refusal_waits_for_nothing_that_takes_long(arguments, sentence, tmp_path):
    environment = {**os.environ, "LOCAL_STATE": str(tmp_path)}
    command = [sys.executable, "-X", "importtime", "-m", "commands", *arguments]
    refused = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode in (1, 2)
    assert sentence in refused.stderr
    imported = {line.rpartition("|")[2].strip() for line in refused.stderr.splitlines()}
    assert "commands.errors" in imported
    assert not imported & {"boto3", "moto", "aws_cdk", "cfnlint", "openvino", "rich.markdown"}


class TestInterrupted:
    @pytest.mark.parametrize(
        "moment", ["argparse", "commands.errors", "rich.console", "pydantic_core", "stage.tables"]
    )
    def test_while_it_loads(self, moment):
        self.interrupt(moment)

    def test_while_the_cdk_works(self):
        self.interrupt("commands.cdk_cli", wait=0.5)

    @staticmethod
    def interrupt(moment: str, wait: float = 0) -> None:
        """Ctrl-C, as a terminal sends it to the group, once a module has been imported."""
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "commands", "cost", "--stage", "dev"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr
        # The child inherits the option, not the pipe's end.
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == moment:
                break
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)
        printed, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in printed + said
