"""What cdk-nag's NIST 800-53 rules and checkov find and this project accepts, with its reasons.

AwsSolutions' findings are accepted next to the resources, by `stacks.common.policies`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import partial

from stage.settings import CONFIG_DIRECTORY, Settings, load_settings
from tests.support.synthesis import ROOT, with_everything

_TABLE = "stacks/accepted_findings.toml"

CONFIGURED = sorted(file.stem for file in CONFIG_DIRECTORY.glob("*.toml"))
STAGES: dict[str, Callable[[], Settings]] = {
    **{name: partial(load_settings, name) for name in CONFIGURED},
    "prod with everything": partial(with_everything, "prod"),
}
"""What is checked: the settings of each stage, and one with every optional table."""

Finding = tuple[str, str]
"""A rule, and a resource as `resource_name` gives it."""


def resource_name(construct_path: str) -> str:
    """A resource as the table names it: its construct path after the stage's name."""
    stack, _, path = construct_path.partition("/")
    return f"{stack.rpartition('-')[2]}/{path.removesuffix('/Resource')}"


def unexplained(findings: Iterable[Finding]) -> list[str]:
    """The findings without a reason."""
    accepted = list(_accepted())
    return sorted(
        f"{rule} at {path}: to accept it, add it to {_TABLE} with a reason"
        for rule, path in findings
        if not any(rule == known and fnmatchcase(path, pattern) for known, pattern in accepted)
    )


def outdated(findings: Iterable[Finding], rules: str) -> list[str]:
    """What the table accepts of the rules that begin so, and nothing finds any more."""
    found = list(findings)
    return sorted(
        f"{rule} at {pattern}: {_TABLE} accepts what is not found"
        for rule, pattern in _accepted()
        if rule.startswith(rules)
        and not any(rule == each and fnmatchcase(path, pattern) for each, path in found)
    )


def _accepted() -> Iterator[Finding]:
    table = tomllib.loads((ROOT / _TABLE).read_text(encoding="utf-8"))
    for entry in table["accepted"]:
        assert entry.keys() == {"rules", "resources", "reason"}, entry
        assert entry["reason"].endswith("."), entry
        yield from ((rule, pattern) for rule in entry["rules"] for pattern in entry["resources"])
