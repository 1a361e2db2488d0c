"""Requests that schemathesis makes from the API's own description, right ones and wrong ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import Failure, FailureGroup

from tests.attack.campaign import Part
from tests.attack.verdicts import (
    code_of,
    leaks,
    no_sentence,
    not_json,
    open_door,
    server_error,
    token,
)
from tests.end_to_end.local_app import ROOT, LocalApp

_SHAPE = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# The description cannot say all that is asked for: that `model` is the deployed one, say.
_REFUSABLE = {400, 404, 409, 413, 429, 503, 504}
# Of ten cases, those that are sent without a key, and with a wrong one.
_NO_KEY, _WRONG_KEY = 3, 7
# What schemathesis needs longest for: it works out each wrong schema anew.
_SLOW = {"/embed", "/nearest", "/search"}


# What the shares below add up to.
_WHOLE = 3340


@dataclass(frozen=True)
class _Batch:
    """Cases of one operation."""

    operation: Any
    mode: GenerationMode
    count: int


def attack(part: Part, app: LocalApp, cases: int = _WHOLE) -> None:
    """Asks every operation, and judges each answer."""
    load_all_checks()
    schema = schemathesis.openapi.from_path(ROOT / "docs/openapi.json")
    schema.config.update(base_url=app.api["url"])
    batches = list(_batches([each.ok() for each in schema.get_all_operations()], cases))
    total = sum(batch.count for batch in batches)
    with requests.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Hypothesis, about strategies of schemathesis
        asking = _Asking(part, app, session, total)
        for number, batch in enumerate(batches):
            asking.ask_all(batch, part.seed * 1000 + number)
    checked = {str(batch.mode.value): 0 for batch in batches} | asking.modes
    part.notes["by_mode"] = checked


def _batches(operations: list[Any], cases: int) -> Iterator[_Batch]:
    """Shares the cases out: most to the operations that have a body."""
    share = cases / _WHOLE
    for operation in operations:
        with_body = bool(operation.body)
        with_id = operation.path.endswith("{batch_id}")
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            negative = mode is GenerationMode.NEGATIVE
            if negative and not (with_body or with_id):
                continue  # nothing in it can be wrong but the key
            count = 300 if with_body else 100 if with_id else 150
            if negative and operation.path in _SLOW:
                count = 80
            yield _Batch(operation, mode, max(5, round(count * share)))


class _Asking:
    """Sends cases and judges the answers."""

    def __init__(self, part: Part, app: LocalApp, session: requests.Session, total: int) -> None:
        self._part, self._session, self._total = part, session, total
        self._key = str(app.api["api_key"])
        self._secrets = [self._key, app.context.administrator.secret]
        self.modes: dict[str, int] = {}

    def ask_all(self, batch: _Batch, number: int) -> None:
        strategy = batch.operation.as_strategy(generation_mode=batch.mode)
        settings(
            max_examples=batch.count,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            verbosity=Verbosity.quiet,
        )(seed(number)(given(case=strategy)(lambda case: self._ask(case, batch.mode))))()

    def _ask(self, case: Case, mode: GenerationMode) -> None:
        number = self._part.cases
        self._part.begin(number, self._total)
        self.modes[mode.value] = self.modes.get(mode.value, 0) + 1
        kind = number % 10
        headers = {"x-api-key": self._key, "user-agent": token(number)}
        if kind in (_NO_KEY, _WRONG_KEY):
            headers["x-api-key"] = "" if kind == _NO_KEY else "x" * len(self._key)
        try:
            answer = case.call(session=self._session, headers=headers, timeout=40)
        except requests.RequestException as error:
            self._part.lost += 1
            self._part.find(number, f"no answer: {type(error).__name__}", request=_curl(case))
            return
        content = answer.content
        self._part.answered(answer.status_code, code_of(content))
        found = server_error(answer.status_code, content)
        found += not_json(content, answer.headers.get("content-type", [""])[0])
        found += leaks(content, self._secrets, number)
        found += no_sentence(answer.status_code, content)
        found += _misfits(case, answer)
        if kind in (_NO_KEY, _WRONG_KEY):
            found += open_door(answer.status_code)
        elif mode is GenerationMode.POSITIVE and not _taken(answer.status_code):
            found.append(f"{answer.status_code} for a request that the description allows")
        for what in found:
            self._part.find(
                number,
                f"{case.method} {case.path}: {what}",
                request=_curl(case),
                answer=content[:500],
            )


def _taken(status: int) -> bool:
    return status < 300 or status in _REFUSABLE


def _misfits(case: Case, answer: Any) -> list[str]:
    """Where the answer is not as described."""
    checks = [CHECKS.get_one(name) for name in _SHAPE]
    try:
        case.validate_response(answer, checks=checks)
    except FailureGroup as group:
        return [f"{type(each).__name__}: {each}"[:300] for each in group.exceptions]
    except Failure as failure:
        return [f"{type(failure).__name__}: {failure}"[:300]]
    return []


def _curl(case: Case) -> str:
    return str(case.as_curl_command())[:2000]
