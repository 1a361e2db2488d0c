"""The client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from faq_search.batch import Batch, start_batch
from faq_search.errors import FaqSearchError
from faq_search.results import (
    Deployment,
    Embeddings,
    Endpoint,
    Health,
    HealthLine,
    Hit,
    Nearest,
    NearestHit,
    SearchResults,
    ServedBy,
)
from faq_search.signing import api_key_signer, iam_signer
from faq_search.transfer import OnBytes
from faq_search.transport import Reply, Transport


class FaqSearch:
    """A deployed FAQ search; every method raises FaqSearchError when it gets no answer.

    Args:
        url: of the stage, such as `https://….execute-api.eu-west-1.amazonaws.com/v1`.
        api_key: for a stage with auth `api_key`.
        iam: sign with AWS credentials instead, for a stage with auth `iam`; needs botocore.
        region: of the API, for `iam`; default: read from the URL or the AWS configuration.
        timeout: seconds to wait for the connection and for each answer; the API itself gives
            up after less than 29.
        retries: further tries after 429 and 503, with growing random pauses.

    Keeps one connection open; not for use by several threads at once.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        iam: bool = False,
        region: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
    ) -> None:
        if iam == (api_key is not None):
            raise ValueError("Give either api_key or iam=True.")
        signer = iam_signer(url, region) if api_key is None else api_key_signer(api_key)
        self._transport = Transport(url, signer, timeout, retries)

    def __enter__(self) -> FaqSearch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def embed(self, texts: Sequence[str], instance_type: str | None = None) -> Embeddings:
        """An embedding for each text, from `instance_type` first if it is given."""
        reply = self._post("/embed", instance_type, texts=list(texts))
        return Embeddings(reply.answer["embeddings"], **_answered(reply))

    def nearest(
        self,
        corpus: Sequence[str],
        queries: Sequence[str],
        top_k: int = 3,
        instance_type: str | None = None,
    ) -> Nearest:
        """For each query the `top_k` nearest texts of `corpus`."""
        reply = self._post(
            "/nearest", instance_type, corpus=list(corpus), queries=list(queries), top_k=top_k
        )
        return Nearest(
            [
                [NearestHit(hit["corpus_id"], hit["score"]) for hit in hits]
                for hits in reply.answer["results"]
            ],
            **_answered(reply),
        )

    def search(
        self,
        queries: Sequence[str],
        top_k: int = 3,
        min_score: float | None = None,
        instance_type: str | None = None,
        *,
        margin: float | None = None,
        category: str | Sequence[str] | None = None,
    ) -> SearchResults:
        """For each query the `top_k` best entries of the deployed corpus; none if withheld.

        Args:
            min_score: leaves out hits that score less; default: the stage's.
            margin: withholds an answer that is not this far ahead; default: the stage's.
            category: finds only entries of this one, or of these.
        """
        given = {"min_score": min_score, "margin": margin, "category": category}
        body = {name: value for name, value in given.items() if value is not None}
        reply = self._post("/search", instance_type, queries=list(queries), top_k=top_k, **body)
        return SearchResults(
            [[Hit.from_json(hit) for hit in hits] for hits in reply.answer["results"]],
            reply.answer["bake_id"],
            **_answered(reply),
        )

    def endpoints(self) -> Deployment:
        """What is deployed: instance types to choose from, model and corpus."""
        answer = self._transport.request("GET", "/endpoints").answer
        return Deployment(
            tuple(Endpoint(e["instance_type"], e["endpoint_name"]) for e in answer["endpoints"]),
            answer["model"]["id"],
            answer["model"]["version"],
            answer["model"]["dimension"],
            answer["corpus"]["sha256"],
            answer["bake_id"],
            answer["serving"],
            answer["request_id"],
        )

    def health(self) -> Health:
        """The state of each endpoint; an unhealthy one is an answer too, not an error."""
        try:
            answer = self._transport.request("GET", "/health").answer
        except FaqSearchError as error:
            if "endpoints" not in error.answer:
                raise
            answer = error.answer
        return Health(
            answer.get("status") == "ok",
            answer.get("code") == "serving_off",
            answer["bake_id"],
            tuple(
                HealthLine(line["instance_type"], line["status"], line.get("bake_id"))
                for line in answer["endpoints"]
            ),
            answer["request_id"],
        )

    def batch(
        self,
        source: str | Path,
        *,
        merge: bool = False,
        instance_count: int | None = None,
        client_token: str | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Batch:
        """Starts to embed a file of JSON lines, `{"id": …, "text_inputs": "…"}`.

        Args:
            source: a local file of up to 5 GB, which is uploaded; or the S3 URI of one, below the
                batch bucket's `input/` or another location that the stage may read.
            merge: also put all embeddings into one object.
            instance_count: instances that share the work; default: the stage's.
            client_token: the same token again gives the same batch (1 to 64 of `A-Z a-z 0-9
                _ -`); default: a new one, so that retries of this call start no second batch.
            on_bytes: called with the bytes uploaded so far, and their total.

        Raises ValueError for a file that is empty or too large, OSError for one that cannot be
        read, and otherwise FaqSearchError.
        """
        return start_batch(
            self._transport,
            source,
            merge=merge,
            instance_count=instance_count,
            client_token=client_token,
            on_bytes=on_bytes,
        )

    def find_batch(self, batch_id: str) -> Batch:
        """The batch with this id; sends no request until one of its methods is called."""
        return Batch(self._transport, batch_id)

    def _post(self, path: str, instance_type: str | None, **body: object) -> Reply:
        chosen = {} if instance_type is None else {"instance_type": instance_type}
        return self._transport.request("POST", path, body | chosen)


class _Answered(TypedDict):
    served_by: ServedBy
    request_id: str
    timing: Mapping[str, float]


def _answered(reply: Reply) -> _Answered:
    """The fields of `Answered`."""
    return {
        "served_by": ServedBy.from_json(reply.answer["served_by"]),
        "request_id": reply.answer["request_id"],
        "timing": reply.timing,
    }
