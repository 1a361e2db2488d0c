"""Keeps unanswered questions for those who write the corpus, where the settings ask for it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError

from contract.metrics import QUESTIONS_NOT_KEPT
from front_door.aws import Aws
from front_door.environment import metrics

# CloudWatch takes 1 MB at once, and a character takes six bytes at most (`\u0001`).
MOST_QUESTIONS: Final = 100
MOST_CHARACTERS: Final = 1_000
# So that answers do not wait for a service that is not there.
PAUSE_SECONDS: Final = 60

logger = Logger(child=True)


class UnansweredQuestions:
    """Writes questions to a log group of their own, a stream for each day.

    A line has the question and its best score, CloudWatch adds the time. Nothing of the caller or
    of the request is kept.

    Args:
        clock: returns seconds and never goes back.
    """

    def __init__(
        self, aws: Aws, log_group: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._aws = aws
        self._log_group = log_group
        self._clock = clock
        self._paused_until = -math.inf
        aws.load_logs()

    def keep(self, questions: Sequence[tuple[str, float | None]]) -> None:
        """Writes questions with their best scores, None without a hit.

        Takes half a second at most. Failures do not reach the caller: what is lost is counted, and
        for a minute nothing more is written.
        """
        lost = len(questions)
        if self._clock() >= self._paused_until:
            written = questions[:MOST_QUESTIONS]
            try:
                self._write(written)
                lost -= len(written)
            except Exception as error:
                self._paused_until = self._clock() + PAUSE_SECONDS
                # Neither the error's message nor its traceback, which might quote a question.
                logger.error("unanswered questions not kept", reason=_kind(error))
        if lost:
            metrics.add_metric(QUESTIONS_NOT_KEPT, MetricUnit.Count, lost)

    def _write(self, questions: Sequence[tuple[str, float | None]]) -> None:
        now = time.time()
        lines = [
            json.dumps(
                {
                    "question": question[:MOST_CHARACTERS],
                    "best_score": None if score is None else round(score, 4),
                },
                ensure_ascii=False,
            )
            for question, score in questions
        ]
        stream = time.strftime("%Y-%m-%d", time.gmtime(now))
        self._aws.put_log_lines(self._log_group, stream, int(now * 1000), lines)


def _kind(error: Exception) -> str:
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"]
    return type(error).__name__
