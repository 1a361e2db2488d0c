"""Keeps tests that share something costly in one of pytest-xdist's processes.

Its own `--dist loadgroup` groups nothing under pytest 9.2 (pytest-dev/pytest-xdist#1386).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xdist.scheduler import LoadScopeScheduling


class Together(LoadScopeScheduling):
    """groups: of tests that stay together, by file name; each of the others goes anywhere."""

    def __init__(self, config: Any, log: Any, groups: Mapping[str, str]) -> None:
        super().__init__(config, log)
        self._groups = groups

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].rpartition("/")[2]
        return self._groups.get(file, nodeid)
