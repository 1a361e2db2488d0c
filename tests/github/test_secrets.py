"""No key or password gets into the repository: detect-secrets over all that Git has.

What it takes for a secret and is none is in `.secrets.baseline`, each with its reason.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
BASELINE: dict[str, Any] = json.loads((ROOT / ".secrets.baseline").read_text(encoding="utf-8"))

Secret = tuple[str, str, str]


def scan(root: Path, *files: str) -> dict[Secret, int]:
    """What is found, by file, kind and hash: the number of its line."""
    found = SecretsCollection(root=str(root))
    with transient_settings({key: BASELINE[key] for key in ("plugins_used", "filters_used")}):
        found.scan_files(*files, num_processors=2)
    return {
        (str(Path(each.filename).relative_to(root)), each.type, each.secret_hash): each.line_number
        for _, each in found
    }


def accepted() -> dict[Secret, str]:
    return {
        (file, each["type"], each["hashed_secret"]): each["reason"]
        for file, secrets in BASELINE["results"].items()
        for each in secrets
    }


def test_no_file_has_a_secret_that_is_not_accepted() -> None:
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = scan(ROOT, *listed.rstrip("\0").split("\0"))
    new = [
        f'{file}:{line}: if this is no secret, add to {file!r} in .secrets.baseline: {{"type":'
        f' "{kind}", "hashed_secret": "{sha1}", "reason": "…"}}'
        for (file, kind, sha1), line in found.items()
        if (file, kind, sha1) not in accepted()
    ]
    assert new == []
    assert accepted().keys() - found.keys() == set(), ".secrets.baseline has what is gone"


def test_all_that_is_accepted_has_a_reason() -> None:
    assert all(reason.endswith(".") for reason in accepted().values())


@pytest.mark.parametrize(
    "line",
    [
        # In two parts, so that neither is found here.
        "aws_access_key_id = AKIA" + "QYLPMN5HFIQR7XYZ",
        'password = "correct-horse-' + 'battery-staple"',
        "-----BEGIN RSA PRIVATE" + " KEY-----",
        "token = 'ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx'",
    ],
)
def test_a_secret_would_be_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "settings.py").write_text(f"{line}\n")
    assert scan(tmp_path, "settings.py")
