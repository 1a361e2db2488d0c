"""One line of JSON per request in the server's log: what was asked, never the texts."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field

from container.serving.batch_lines import Record
from container.serving.requests import (
    EmbedRequest,
    InfoRequest,
    NearestRequest,
    RecordRequest,
    Request,
    SearchRequest,
    TrainDataRequest,
)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RequestLog:
    """What is known about a request while it is answered.

    `request_id` is the caller's own, to find this line by; `mode` is the request's, or `batch`;
    `texts` counts the texts to encode.
    """

    bake_id: str
    request_id: str | None = None
    mode: str | None = None
    texts: int = 0
    _started: float = field(default_factory=time.monotonic)

    def of_request(self, request: Request) -> None:
        """Records what a request asks for."""
        match request:
            case EmbedRequest(texts, request_id):
                self._asked("embedding", len(texts), request_id)
            case RecordRequest():
                self._asked("embedding", 1)
            case NearestRequest(corpus=corpus, queries=queries, request_id=request_id):
                self._asked("nn_corpus", len(corpus) + len(queries), request_id)
            case TrainDataRequest(queries=queries, request_id=request_id):
                self._asked("nn_train_data", len(queries), request_id)
            case SearchRequest(queries=queries, request_id=request_id):
                self._asked("search", len(queries), request_id)
            case InfoRequest():
                self._asked("info", 0)

    def of_batch(self, records: list[Record]) -> None:
        """Records what the lines of a batch ask for."""
        self._asked("batch", sum(isinstance(record, RecordRequest) for record in records))

    def _asked(self, mode: str, texts: int, request_id: str | None = None) -> None:
        self.mode, self.texts, self.request_id = mode, texts, request_id

    def write(self, outcome: str) -> None:
        """Writes the line; `outcome` is answered, refused (an invalid request) or failed."""
        line = {
            "message": outcome,
            "request_id": self.request_id,
            "mode": self.mode,
            "texts": self.texts,
            "milliseconds": round((time.monotonic() - self._started) * 1000, 1),
            "bake_id": self.bake_id,
        }
        logger.info("%s", json.dumps(line))
