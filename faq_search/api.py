"""The client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import httpx

from faq_search import calls
from faq_search.batch import Batch, start_batch
from faq_search.results import Deployment, Embeddings, Health, Nearest, SearchResults
from faq_search.signing import Signer, make_signer
from faq_search.transfer import OnBytes
from faq_search.transport import OnRetry, Options, Transport


class FaqSearch:
    """A deployed FAQ search; every method raises FaqSearchError when it gets no answer.

    Args:
        url: of the stage, such as `https://….execute-api.eu-west-1.amazonaws.com/v1`.
        api_key: for a stage with auth `api_key`.
        token: a bearer token, for an API behind an authorizer that takes one.
        iam: sign with AWS credentials instead, for a stage with auth `iam`; needs botocore.
        region: of the API, for `iam`; default: read from the URL or the AWS configuration.
        signer: any other proof of who asks.
        timeout: seconds to wait for the connection and for each answer; the API itself gives
            up after less than 29.
        retries: further tries after 429, 502, 503 and 504, with growing random pauses and not
            before the `Retry-After` of the answer.
        on_retry: called with the error and the pause in seconds before each of them.
        transport: another HTTP transport than httpx's, for tests and unusual networks.

    Raises InputError unless there is one of `api_key`, `token`, `iam` and `signer`. Keeps
    connections open; several threads may share it. Proxies are taken from the environment.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        token: str | None = None,
        iam: bool = False,
        region: str | None = None,
        signer: Signer | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        on_retry: OnRetry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        signer = signer or make_signer(url, api_key=api_key, token=token, iam=iam, region=region)
        self._transport = Transport(Options(url, signer, timeout, retries, on_retry), transport)

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
        """Closes the connections."""
        self._transport.client.close()

    def embed(self, texts: Sequence[str], instance_type: str | None = None) -> Embeddings:
        """An embedding for each text, from `instance_type` first if it is given."""
        return self._transport.send(calls.embed(texts, instance_type))

    def nearest(
        self,
        corpus: Sequence[str],
        queries: Sequence[str],
        top_k: int = 3,
        instance_type: str | None = None,
    ) -> Nearest:
        """For each query the `top_k` nearest texts of `corpus`."""
        return self._transport.send(calls.nearest(corpus, queries, top_k, instance_type))

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
        return self._transport.send(
            calls.search(
                queries,
                top_k,
                instance_type,
                min_score=min_score,
                margin=margin,
                category=category,
            )
        )

    def endpoints(self) -> Deployment:
        """What is deployed: instance types to choose from, model and corpus."""
        return self._transport.send(calls.endpoints())

    def health(self) -> Health:
        """The state of each endpoint; an unhealthy one is an answer too, not an error."""
        return self._transport.send(calls.health())

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

        Raises InputError for a file that is empty or too large, OSError for one that cannot be
        read, and FaqSearchError as usual.
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
