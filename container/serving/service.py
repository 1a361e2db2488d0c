"""The server's model: opens an artifact and answers requests."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from container.artifact import INDEX, read_manifest
from container.encoder.base import TextEncoder
from container.encoder.load import broken_artifact, load_encoder
from container.errors import InternalError, InvalidRequestError, LoadError
from container.search.index import Index
from container.search.nearest import Match
from container.search.searcher import Searcher
from container.serving.batch_lines import Record, parse_lines
from container.serving.request_log import RequestLog
from container.serving.requests import (
    JSON_LINES_TYPES,
    Body,
    EmbedRequest,
    InfoRequest,
    NearestRequest,
    RecordRequest,
    Request,
    SearchRequest,
    TrainDataRequest,
    decode,
    media_type,
    parse_body,
)
from container.serving.responses import dumps, record_json, shortest, vectors_json, vectors_lists

log = logging.getLogger(__name__)

# multi-model-server's own default. It answers 500 and restarts the worker beyond it.
DEFAULT_MAX_RESPONSE = 6_553_500

# From an artifact's folder and manifest to its encoder.
EncoderLoader = Callable[[Path, dict[str, Any]], TextEncoder]


class Service:
    """An opened artifact. One request at a time, as the server gives a worker."""

    def __init__(self, manifest: dict[str, Any], searcher: Searcher, index: Index) -> None:
        self._manifest = manifest
        self._searcher = searcher
        self._index = index
        self._max_response = int(os.environ.get("MMS_MAX_RESPONSE_SIZE", DEFAULT_MAX_RESPONSE))

    @classmethod
    def open(
        cls, model_dir: Path, bake_id: str | None, load: EncoderLoader = load_encoder
    ) -> Service:
        """Opens the artifact in ``model_dir``.

        ``bake_id`` is the one that the Model names; ``None`` accepts any. ``load`` opens the model,
        by default in this process. Raises LoadError when the artifact is broken, incomplete or
        another than ``bake_id``.
        """
        manifest = read_manifest(model_dir)
        with broken_artifact():
            if bake_id is not None and manifest["bake_id"] != bake_id:
                raise LoadError(
                    f"the artifact is of bake {manifest['bake_id']}; the Model names bake {bake_id}"
                )
            model = manifest["model"]
            index = Index(model_dir / INDEX, manifest["corpus"]["entries"], model["dimension"])
            encoder = load(model_dir, manifest)
            searcher = Searcher(encoder, model["query_prefix"], model["passage_prefix"])
            return cls(manifest, searcher, index)

    def answer(self, body: Body, content_type: str | None) -> str:
        """Answers one body: a JSON document, or one JSON line for each record of a batch.

        Raises InvalidRequestError for what the caller can mend, and InternalError.
        """
        asked = RequestLog(self._manifest["bake_id"])
        outcome = "failed"
        try:
            if media_type(content_type) in JSON_LINES_TYPES:
                records = parse_lines(decode(body))
                asked.of_batch(records)
                answer = self._batch(records)
            else:
                request = parse_body(body, content_type)
                asked.of_request(request)
                answer = self._one(request)
            self._check_size(answer)
            outcome = "answered"
            return answer
        except InvalidRequestError:
            outcome = "refused"
            raise
        except Exception as fault:
            log.exception("A request failed")
            raise InternalError(
                f"the model failed on this request ({type(fault).__name__}); "
                "the endpoint's log says more"
            ) from fault
        finally:
            asked.write(outcome)

    def _check_size(self, answer: str) -> None:
        size = len(answer) if answer.isascii() else len(answer.encode("utf-8"))
        if size > self._max_response:
            raise InvalidRequestError(
                f"the answer would have {size:,} bytes; at most {self._max_response:,} can be "
                "sent: send fewer texts, or a lower top_k"
            )

    def _one(self, request: Request) -> str:
        match request:
            case EmbedRequest(texts):
                return vectors_json(self._searcher.encoder.encode(texts))
            case RecordRequest():
                return self._batch([request])
            case NearestRequest(corpus, queries, top_k):
                found = self._searcher.nearest(corpus, queries, top_k)
                return dumps([[_corpus_match(match) for match in matches] for matches in found])
            case TrainDataRequest():
                return dumps(self._train_data(request))
            case SearchRequest(queries, top_k):
                found = self._searcher.search(self._index, queries, top_k)
                results = [[self._entry_match(match) for match in matches] for matches in found]
                return dumps({"bake_id": self._manifest["bake_id"], "results": results})
            case InfoRequest():
                encoder = self._searcher.encoder
                return dumps(
                    {**self._manifest, "device": encoder.device, "runtime": encoder.runtime}
                )

    def _train_data(self, request: TrainDataRequest) -> list[list[dict[str, Any]]]:
        stores_text = self._manifest["hyperparameters"].get("store_text", "true") == "true"
        if request.return_text and not stores_text:
            raise InvalidRequestError(
                "return_text is not possible: this corpus was baked without its texts "
                "(store_text is false)"
            )
        found = self._searcher.search(self._index, request.queries, request.top_k)
        return [[self._id_match(match, request.return_text) for match in one] for one in found]

    def _id_match(self, match: Match, return_text: bool) -> dict[str, Any]:
        entry = self._index.entry(match.position)
        answer: dict[str, Any] = {"id": entry["id"], "score": shortest(match.score)}
        if return_text:
            answer["text"] = entry["answer"]
        return answer

    def _entry_match(self, match: Match) -> dict[str, Any]:
        """Id and score; question and answer are null where none is stored."""
        entry = self._index.entry(match.position)
        return {
            "id": entry["id"],
            "question": entry.get("question"),
            "answer": entry.get("answer"),
            "score": shortest(match.score),
        }

    def _batch(self, records: list[Record]) -> str:
        """A batch's lines: a record that is wrong gets an error of its own, and the rest go on."""
        texts = [record.text for record in records if isinstance(record, RecordRequest)]
        vectors = iter(vectors_lists(self._searcher.encoder.encode(texts)) if texts else ())
        return "\n".join(
            record_json(record.id, next(vectors)) if isinstance(record, RecordRequest) else record
            for record in records
        )


def _corpus_match(match: Match) -> dict[str, Any]:
    return {"corpus_id": match.position, "score": shortest(match.score)}
