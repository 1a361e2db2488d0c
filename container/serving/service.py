"""The server's model: opens an artifact and answers requests."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from container.artifact import INDEX, WEIGHTS, check_bake, read_manifest
from container.encoder.base import TextEncoder
from container.encoder.load import broken_artifact, load_encoder
from container.errors import BusyError, ExpiredError, InternalError, InvalidRequestError
from container.search.index import Index
from container.search.passages import Passages
from container.search.searcher import Searcher
from container.serving.entries import EntryEncoder, EntryLines, query_terms
from container.serving.requests import (
    JSON_LINES_TYPES,
    Body,
    Line,
    Record,
    Request,
    decode,
    is_large,
    media_type,
    parse_body,
    parse_lines,
    seconds_left,
)
from container.serving.responses import base64_texts, dumps, finite, record_json

logger = logging.getLogger(__name__)

# multi-model-server's default. Beyond it the server answers 500 and restarts the worker.
DEFAULT_MAX_RESPONSE = 6_553_500

# From an artifact's folder and manifest to its encoder, once all files are checked.
EncoderLoader = Callable[[Path, dict[str, Any]], TextEncoder]


class Service:
    """An opened artifact. Answers one request at a time, as the server calls its workers."""

    def __init__(self, manifest: dict[str, Any], searcher: Searcher, tokenizer: Path) -> None:
        self._manifest = manifest
        self._searcher = searcher
        self._tokenizer = tokenizer
        self._max_response = int(os.environ.get("MMS_MAX_RESPONSE_SIZE", DEFAULT_MAX_RESPONSE))

    @classmethod
    def open(
        cls, model_dir: Path, bake_id: str | None, load: EncoderLoader = load_encoder
    ) -> Service:
        """Opens the artifact in `model_dir`.

        `bake_id` is the one that the Model names; `None` accepts any. `load` opens the model, by
        default in this process. Raises LoadError when the artifact is broken, incomplete or from
        another bake.
        """
        manifest = read_manifest(model_dir)
        with broken_artifact():
            check_bake(manifest, bake_id)
            model = manifest["model"]
            # First, because it checks the files of the index, too.
            encoder = load(model_dir, manifest)
            index = None
            # Without a corpus, entries are in an index elsewhere.
            if "corpus" in manifest:
                index = Index(
                    model_dir / INDEX,
                    manifest["corpus"]["entries"],
                    model["dimension"],
                    manifest["ranking"],
                )
            tokenizer = model_dir / WEIGHTS / "tokenizer.json"
            return cls(manifest, Searcher(encoder, index, model), tokenizer)

    def answer(self, body: Body, content_type: str | None) -> bytes:
        """Answers one body: a JSON document, or one JSON line for each record of a batch.

        Raises InvalidRequestError for what the caller can correct, ExpiredError once nobody waits
        for the answer any longer, BusyError for one large request too many, and InternalError.
        """
        encoder = self._searcher.encoder
        try:
            with _logged(self._manifest["bake_id"]) as line:
                encoder.deadline = time.monotonic() + seconds_left(content_type)
                encoder.check_time()
                large = is_large(body, content_type)
                with encoder.large_request() if large else nullcontext():
                    answer = self._answer(body, content_type, line)
                # A batch that began in time may have ended too late.
                encoder.check_time()
                return answer
        except (InvalidRequestError, ExpiredError, BusyError):
            raise
        except Exception as error:
            logger.exception("A request failed")
            raise InternalError(
                f"the model failed on this request ({type(error).__name__}); "
                "the endpoint's log says more"
            ) from error

    def _answer(self, body: Body, content_type: str | None, line: dict[str, Any]) -> bytes:
        if media_type(content_type) in JSON_LINES_TYPES:
            lines = parse_lines(decode(body))
            texts = sum(len(e.lines) if isinstance(e, EntryLines) else 1 for e in _asked(lines))
            line |= {"mode": "batch", "texts": texts}
            answer = self._batch(lines)
        else:
            request = parse_body(body, content_type)
            if isinstance(request, Record):
                line |= {"mode": "embedding", "texts": 1}
                answer = self._batch([request])
            else:
                line["request_id"] = request.request_id
                line |= {"mode": request.mode, "texts": request.texts}
                answer = dumps(self._one(request))
        if len(answer) > self._max_response:
            raise InvalidRequestError(
                f"the answer would have {len(answer):,} bytes; at most {self._max_response:,} can "
                "be sent: send fewer texts, or a lower top_k"
            )
        return answer

    def _batch(self, lines: list[Line]) -> bytes:
        """A line for each record; a wrong one gets its own error and the others are encoded."""
        texts = [each.text for each in lines if isinstance(each, Record)]
        vectors = iter(finite(self._searcher.encoder.encode(texts)) if texts else ())
        answers: list[bytes] = []
        for each in lines:
            match each:
                case Record():
                    answers.append(record_json(each.id, next(vectors)))
                case EntryLines():
                    answers += self._entry_encoder.lines(each)
                case _:
                    answers.append(each)
        return b"\n".join(answers)

    @cached_property
    def _entry_encoder(self) -> EntryEncoder:
        """Only transforms of a corpus need it."""
        encoder = self._searcher.encoder
        return EntryEncoder(encoder, Passages(self._tokenizer, encoder.config), self._manifest)

    def _one(self, request: Request) -> object:
        encoder = self._searcher.encoder
        match request.mode:
            case "embedding":
                return self._embed(request)
            case "nn_corpus":
                nearest = self._searcher.nearest(request.corpus, request.queries, request.top_k)
                return [
                    [{"corpus_id": position, "score": score} for position, score in matches]
                    for matches in nearest
                ]
            case "nn_train_data":
                return self._train_data(request)
            case "queries":
                vectors = finite(self._searcher.query_vectors(request.queries))
                return {
                    "bake_id": self._manifest["bake_id"],
                    "vectors": base64_texts(vectors),
                    "terms": [query_terms(query) for query in request.queries],
                }
            case "search":
                found = self._searcher.search(
                    request.queries,
                    request.top_k,
                    lexical=request.lexical,
                    categories=request.category,
                )
                # Question and answer are null where none is stored.
                results = [
                    [
                        {
                            "id": entry["id"],
                            "question": entry.get("question"),
                            "answer": entry.get("answer"),
                            "passage": passage,
                            "fields": entry.get("fields", {}),
                            "score": score,
                        }
                        for entry, score, passage in hits
                    ]
                    for hits in found
                ]
                return {"bake_id": self._manifest["bake_id"], "results": results}
            case _:
                return {**self._manifest, "device": encoder.device, "runtime": encoder.runtime}

    def _embed(self, request: Request) -> dict[str, Any]:
        encoder = self._searcher.encoder
        tokens = encoder.tokenize(request.text_inputs)
        vectors = finite(encoder.encode_tokens(tokens))
        in_base64 = request.encoding_format == "base64"
        answer: dict[str, Any] = {"embedding": base64_texts(vectors) if in_base64 else vectors}
        if request.count_tokens:
            answer["tokens"] = sum(map(len, tokens))
        return answer

    def _train_data(self, request: Request) -> list[list[dict[str, Any]]]:
        stores_text = self._manifest["hyperparameters"].get("store_text", "true") == "true"
        if request.return_text and not stores_text:
            raise InvalidRequestError(
                "return_text is not possible: this corpus was baked without its texts "
                "(store_text is false)"
            )
        return [
            [
                {"id": entry["id"], "score": score}
                | ({"text": entry["answer"]} if request.return_text else {})
                for entry, score, _ in hits
            ]
            for hits in self._searcher.nearest_answers(request.queries, request.top_k)
        ]


def _asked(lines: Iterable[Line]) -> Iterator[Record | EntryLines]:
    return (each for each in lines if not isinstance(each, bytes))


@contextmanager
def _logged(bake_id: str) -> Iterator[dict[str, Any]]:
    """Logs a request as one line of JSON when it ends; gives the line, to be completed by then.

    It never holds the texts: `request_id` is the caller's own, to find the line by; `mode` the
    request's, or `batch`; `texts` the number of texts to encode. `message` becomes answered,
    refused, expired, busy or failed.
    """
    line = {"message": "failed", "request_id": None, "mode": None, "texts": 0}
    started = time.monotonic()
    try:
        yield line
        line["message"] = "answered"
    except InvalidRequestError:
        line["message"] = "refused"
        raise
    except ExpiredError:
        line["message"] = "expired"
        raise
    except BusyError:
        line["message"] = "busy"
        raise
    finally:
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        logger.info("%s", json.dumps(line | {"milliseconds": milliseconds, "bake_id": bake_id}))
