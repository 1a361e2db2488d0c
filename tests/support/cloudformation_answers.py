"""The place at which CloudFormation waits for a custom resource's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.http import Handler, serving


class Answers:
    """Answers so far, and how the next requests are met.

    Attributes:
        url: a ResponseURL.
        received: each answer, parsed.
        sizes: each answer's bytes.
        content_types: each answer's header.
        refusals: status codes to answer with before anything is accepted.
    """

    def __init__(self) -> None:
        self.url = ""
        self.received: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.content_types: list[str | None] = []
        self.refusals: list[int] = []

    @property
    def only(self) -> dict[str, Any]:
        """The one answer there is."""
        assert len(self.received) == 1, self.received
        return self.received[0]


@pytest.fixture
def answers() -> Iterator[Answers]:
    """Answers of one test."""
    collected = Answers()

    class AnswerHandler(Handler):
        def respond(self) -> None:
            body = self.body()
            status = collected.refusals.pop(0) if collected.refusals else 200
            if status == 200:
                collected.received.append(json.loads(body))
                collected.sizes.append(len(body))
                collected.content_types.append(self.headers["Content-Type"])
            self.answer(status)

    with serving(AnswerHandler) as url:
        collected.url = f"{url}/answer?signature=secret"
        yield collected
