"""The workflows: that they name what there is, and that nobody gets more than a job needs."""

from __future__ import annotations

import importlib.util
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]  # as GitHub starts it
CORPUS = ROOT / ".github/workflows/corpus.yml"


def load(path: Path) -> dict[str, Any]:
    parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 takes the key `on` for a boolean.
    return {"on" if key is True else key: value for key, value in parsed.items()}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request) -> dict[str, Any]:
    return load(request.param)


@pytest.fixture
def jobs() -> dict[str, Any]:
    return load(CORPUS)["jobs"]


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def scripts(workflow: dict[str, Any]) -> list[str]:
    return [step["run"] for step in steps(workflow) if "run" in step]


def test_every_script_is_one_that_bash_can_read(workflow):
    assert scripts(workflow)
    for script in scripts(workflow):
        command = ["bash", "-n"]
        result = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr


def test_a_script_fails_with_the_first_of_its_commands(workflow):
    """Where no shell is named, GitHub runs bash without pipefail."""
    assert workflow["defaults"] == {"run": {"shell": "bash"}}


def test_no_expression_is_pasted_into_a_script(workflow):
    """A pull request's title or branch would be run; the environment is handed over instead."""
    for script in scripts(workflow):
        assert "${{" not in script


def test_every_command_exists(workflow):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for script in scripts(workflow):
        for line in script.splitlines():
            for target in re.findall(r"^\s*make ([a-z-]+)", line):
                assert target in targets
            for module in re.findall(r"python3? -m ([\w.]+)", line):
                assert importlib.util.find_spec(module), module


def test_make_takes_the_variables_it_is_given(workflow):
    known = set(re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for script in scripts(workflow):
        for line in re.findall(r"^\s*make .*$", script, re.MULTILINE):
            assert set(re.findall(r"\b([A-Z]+)=", line)) <= known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_to_a_commit_whose_version_is_noted(path):
    """A tag can be moved to other code. Dependabot updates the commit and the comment."""
    used = re.findall(r"^ *(?:- )?uses: *(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    for action in used:
        pinned = r"(actions|aws-actions)/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
        assert re.fullmatch(pinned, action), action


def test_an_action_has_one_commit_everywhere():
    used = {step["uses"] for path in WORKFLOWS for step in steps(load(path)) if "uses" in step}
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_every_path_that_starts_it_exists(workflow):
    events = [event for event in workflow["on"].values() if isinstance(event, dict)]
    for event in events:
        for path in event.get("paths", []):
            assert (ROOT / path.removesuffix("/**")).exists(), path


def test_every_job_has_an_end_and_a_system_of_a_year(workflow):
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 240
        assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"])


def test_nothing_is_allowed_that_a_job_does_not_name(workflow):
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())


def test_no_pull_request_meets_a_secret(workflow):
    assert "pull_request_target" not in workflow["on"]
    assert "secrets." not in str(workflow)


def test_no_checkout_leaves_its_token_behind(workflow):
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_each_job_may_do_what_it_needs(jobs):
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "check": {"contents": "read"},
        "diff": {"contents": "read", "id-token": "write"},
        "comment": {"pull-requests": "write"},
        "deploy": {"contents": "read", "id-token": "write"},
    }


def test_code_of_a_pull_request_never_runs_beside_a_token_that_writes(jobs):
    for step in jobs["comment"]["steps"]:
        assert "checkout" not in step.get("uses", "")
        assert "make" not in step.get("run", "")


def test_a_fork_gets_neither_role_nor_comment(jobs):
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    assert same in jobs["diff"]["if"]
    assert jobs["comment"]["needs"] == "diff"
    assert "AWS_" not in str(jobs["check"])


def test_only_the_branch_deploys_and_no_pull_request(jobs):
    condition = jobs["deploy"]["if"]
    assert "github.event_name != 'pull_request'" in condition
    assert "github.ref == 'refs/heads/main'" in condition
    assert load(CORPUS)["on"]["push"]["branches"] == ["main"]


def test_roles_come_from_variables_and_fit_their_trust(jobs):
    """GitHub's token of a job with an environment names that instead of branch or pull request."""
    for name, variable in (("diff", "AWS_DIFF_ROLE_ARN"), ("deploy", "AWS_DEPLOY_ROLE_ARN")):
        (configured,) = (
            step["with"] for step in jobs[name]["steps"] if "aws-actions" in step.get("uses", "")
        )
        assert configured["role-to-assume"] == f"${{{{ vars.{variable} }}}}"
        assert f"vars.{variable} != ''" in jobs[name]["if"]
        assert "environment" not in jobs[name]


def test_a_deployment_is_never_cut_short_and_its_credentials_outlast_it(jobs):
    deploy = jobs["deploy"]
    assert deploy["concurrency"] == {"group": "corpus-deploy", "cancel-in-progress": False}
    (configured,) = (s["with"] for s in deploy["steps"] if "aws-actions" in s.get("uses", ""))
    assert configured["role-duration-seconds"] >= deploy["timeout-minutes"] * 60


def test_what_is_shown_asks_for_no_change_set(jobs):
    """`make diff` with MARKDOWN compares templates alone, which the right to read is enough for."""
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"\) diff .*MARKDOWN.*--read-only", makefile)
    (script,) = (s["run"] for s in jobs["diff"]["steps"] if "make diff" in s.get("run", ""))
    assert "make diff" in script
    assert "MARKDOWN=" in script


FAKE_GH = """#!/usr/bin/env bash
echo "$@" >> calls.txt
case "$*" in
  *--paginate*) cat comments.txt ;;
esac
"""


class TestComment:
    """The script that posts, with a gh that writes down what it is asked."""

    @pytest.fixture
    def post(self, jobs, tmp_path):
        (script,) = (step["run"] for step in jobs["comment"]["steps"] if "run" in step)
        gh = tmp_path / "bin/gh"
        gh.parent.mkdir()
        gh.write_text(FAKE_GH)
        gh.chmod(gh.stat().st_mode | stat.S_IXUSR)

        def run(comment: bytes, existing: str = "") -> list[str]:
            (tmp_path / "comment.md").write_bytes(comment)
            (tmp_path / "comments.txt").write_text(existing)
            environment = {
                "PATH": f"{gh.parent}{os.pathsep}{os.environ['PATH']}",
                "REPOSITORY": "owner/name",
                "NUMBER": "7",
            }
            subprocess.run([*BASH, script], cwd=tmp_path, env=environment, check=True)
            return (tmp_path / "calls.txt").read_text().splitlines()

        run.folder = tmp_path
        return run

    def test_is_made_the_first_time(self, post):
        last = post(b"text")[-1]
        assert last == (
            "api --silent --method POST repos/owner/name/issues/7/comments -F body=@body.md"
        )
        assert (post.folder / "body.md").read_bytes() == b"text"

    def test_is_written_anew_after_that(self, post):
        last = post(b"text", "41\n42\n")[-1]
        assert last == "api --silent --method PATCH repos/owner/name/issues/comments/41" + (
            " -F body=@body.md"
        )

    def test_fits_however_long_it_is(self, post):
        post(b"x" * 100_000)
        assert (post.folder / "body.md").stat().st_size < 65_536

    def test_looks_for_its_own_comment(self, post, jobs):
        assert "<!-- faq-search review -->" in " ".join(post(b"text"))
        (script,) = (s["run"] for s in jobs["diff"]["steps"] if "comment.md" in s.get("run", ""))
        assert "echo '<!-- faq-search review -->'; cat corpus.md" in script


def test_a_wrong_corpus_fails_the_check_and_is_shown(jobs, tmp_path):
    """The script keeps the CDK's status, though it goes on to show what was said."""
    (script,) = (s["run"] for s in jobs["check"]["steps"] if "synth" in s.get("run", ""))
    cdk = tmp_path / "node_modules/.bin/cdk"
    cdk.parent.mkdir(parents=True)
    cdk.write_text('#!/usr/bin/env bash\necho "faq.csv:3: no text ($*)" >&2\nexit 3\n')
    cdk.chmod(cdk.stat().st_mode | stat.S_IXUSR)
    summary = tmp_path / "summary.md"
    environment = {
        "PATH": os.environ["PATH"],
        "STAGE": "dev",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    result = subprocess.run(
        [*BASH, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 3
    assert "faq.csv:3: no text (synth --all --quiet -c stage=dev)" in result.stdout
    assert "faq.csv:3" in summary.read_text()
