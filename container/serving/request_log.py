"""One line of JSON a request in the server's log: what was asked, never the texts themselves."""

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

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RequestLog:
    """What is known of a request while it is answered.

    ``request_id`` is the caller's own, by which it finds this line; ``mode`` is the request's, or
    ``batch``; ``texts`` counts those to encode.
    """

    bake_id: str
    request_id: str | None = None
    mode: str | None = None
    texts: int = 0
    _started: float = field(default_factory=time.monotonic)

    def of_request(self, request: Request) -> None:
        """Takes what there is to say from a request."""
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
        """Takes what there is to say from the lines of a batch."""
        self._asked("batch", sum(isinstance(record, RecordRequest) for record in records))

    def _asked(self, mode: str, texts: int, request_id: str | None = None) -> None:
        self.mode, self.texts, self.request_id = mode, texts, request_id

    def write(self, outcome: str) -> None:
        """Writes the line; ``outcome`` is answered, refused (the caller's fault) or failed."""
        line = {
            "message": outcome,
            "request_id": self.request_id,
            "mode": self.mode,
            "texts": self.texts,
            "milliseconds": round((time.monotonic() - self._started) * 1000, 1),
            "bake_id": self.bake_id,
        }
        log.info("%s", json.dumps(line))
