"""checkov over the templates of every stage (`make test-checkov`), in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.accepted_findings import (
    STAGES,
    Finding,
    outdated,
    resource_name,
    unexplained,
)
from tests.support.synthesis import ROOT, assemble

_OPEN_BUCKET = {"Resources": {"Open": {"Type": "AWS::S3::Bucket"}}}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> frozenset[Finding]:
    """What checkov finds, all stages together. An open bucket beside them shows that it ran."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "open.template.json").write_text(json.dumps(_OPEN_BUCKET))
    names = {("open", "Open"): "Open/Bucket"}
    for number, settings in enumerate(STAGES.values()):
        stack, *_ = assemble(settings()).values()
        for metadata in Path(stack.assembly.directory).glob("*.metadata.json"):
            name = metadata.name.removesuffix(".metadata.json")
            file = f"{number}-{name}"
            template = metadata.with_name(f"{name}.template.json")
            shutil.copy(template, folder / f"{file}.template.json")
            for path, entries in json.loads(metadata.read_text(encoding="utf-8")).items():
                for entry in entries:
                    if entry["type"] == "aws:cdk:logicalId":
                        names[file, entry["data"]] = resource_name(path.removeprefix("/"))
    failed = _checkov(folder)
    found = frozenset((rule, names[key]) for rule, key in failed)
    assert ("CKV_AWS_18", "Open/Bucket") in found
    return frozenset(f for f in found if f[1] != "Open/Bucket")


def _checkov(folder: Path) -> list[tuple[str, tuple[str, str]]]:
    """Rules that failed, each with the file and the logical id."""
    command = [ROOT / ".venv-checkov/bin/python", "-m", "checkov.main"]
    options = ["--framework", "cloudformation", "--output", "json", "--quiet", "--compact"]
    result = subprocess.run(
        # Neither its platform nor the network, where it would look for guidelines.
        [*command, "--directory", folder, *options, "--skip-download", "--soft-fail"],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(result.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return [
        (
            check["check_id"],
            (
                check["file_path"].strip("/").removesuffix(".template.json"),
                check["resource"].rpartition(".")[2],
            ),
        )
        for check in report["results"]["failed_checks"]
    ]


def test_nothing_is_found_without_a_reason(findings: frozenset[Finding]) -> None:
    assert unexplained(findings) == []


def test_no_reason_is_left_for_what_is_no_longer_found(findings: frozenset[Finding]) -> None:
    assert outdated(findings, "CKV") == []
