"""The client for asyncio and trio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx

from faq_search import calls
from faq_search.batch import OnState, Waiting, asked, embeddings_of, rejects_of
from faq_search.results import (
    BatchState,
    Deployment,
    Embeddings,
    Health,
    Nearest,
    SearchResults,
)
from faq_search.signing import Signer, make_signer
from faq_search.transfer import OnBytes, fetch, upload
from faq_search.transport import S3_TIMEOUT_SECONDS, AsyncTransport, OnRetry, Options


class AsyncFaqSearch:
    """FaqSearch, to be awaited: the same arguments, methods, results and errors.

    Requests may run at the same time. `on_bytes` is called in a worker thread.
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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        signer = signer or make_signer(url, api_key=api_key, token=token, iam=iam, region=region)
        options = Options(url, signer, timeout, retries, on_retry)
        self._transport = AsyncTransport(options, transport, anyio.sleep)

    async def __aenter__(self) -> AsyncFaqSearch:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.client.aclose()

    async def embed(self, texts: Sequence[str], instance_type: str | None = None) -> Embeddings:
        """See FaqSearch.embed."""
        return await self._transport.send(calls.embed(texts, instance_type))

    async def nearest(
        self,
        corpus: Sequence[str],
        queries: Sequence[str],
        top_k: int = 3,
        instance_type: str | None = None,
    ) -> Nearest:
        """See FaqSearch.nearest."""
        return await self._transport.send(calls.nearest(corpus, queries, top_k, instance_type))

    async def search(
        self,
        queries: Sequence[str],
        top_k: int = 3,
        min_score: float | None = None,
        instance_type: str | None = None,
        *,
        margin: float | None = None,
        category: str | Sequence[str] | None = None,
    ) -> SearchResults:
        """See FaqSearch.search."""
        return await self._transport.send(
            calls.search(
                queries,
                top_k,
                instance_type,
                min_score=min_score,
                margin=margin,
                category=category,
            )
        )

    async def endpoints(self) -> Deployment:
        """See FaqSearch.endpoints."""
        return await self._transport.send(calls.endpoints())

    async def health(self) -> Health:
        """See FaqSearch.health."""
        return await self._transport.send(calls.health())

    async def batch(
        self,
        source: str | Path,
        *,
        merge: bool = False,
        instance_count: int | None = None,
        client_token: str | None = None,
        on_bytes: OnBytes | None = None,
    ) -> AsyncBatch:
        """See FaqSearch.batch."""
        body = asked(source, merge=merge, instance_count=instance_count, client_token=client_token)
        answer = await self._transport.send(calls.new_batch(body))
        if target := answer.get("upload"):

            def put() -> None:
                with httpx.Client(timeout=S3_TIMEOUT_SECONDS) as client:
                    upload(client, target["url"], target["headers"], Path(source), on_bytes)

            await anyio.to_thread.run_sync(put)
        return AsyncBatch(self._transport, answer["batch_id"])

    def find_batch(self, batch_id: str) -> AsyncBatch:
        """See FaqSearch.find_batch."""
        return AsyncBatch(self._transport, batch_id)


class AsyncBatch:
    """Batch, to be awaited; made by AsyncFaqSearch."""

    def __init__(self, transport: AsyncTransport, batch_id: str) -> None:
        self._transport = transport
        self.batch_id = batch_id

    async def state(self) -> BatchState:
        """See Batch.state."""
        return await self._transport.send(calls.batch_state(self.batch_id))

    async def stop(self) -> BatchState:
        """See Batch.stop."""
        return await self._transport.send(calls.batch_state(self.batch_id, stop=True))

    async def wait(
        self, timeout: float | None = None, on_state: OnState | None = None
    ) -> BatchState:
        """See Batch.wait."""
        waiting = Waiting(timeout, on_state)
        while (pause := waiting.pause_after(state := await self.state())) is not None:
            await anyio.sleep(pause)
        return state

    async def download(self, to: str | Path, on_bytes: OnBytes | None = None) -> Path:
        """See Batch.download."""
        return await self._fetch(embeddings_of(await self.state()), to, on_bytes)

    async def download_rejects(
        self, to: str | Path, on_bytes: OnBytes | None = None
    ) -> Path | None:
        """See Batch.download_rejects."""
        parts = rejects_of(await self.state())
        return await self._fetch(parts, to, on_bytes) if parts else None

    async def _fetch(self, parts: Sequence[str], to: str | Path, on_bytes: OnBytes | None) -> Path:
        return await anyio.to_thread.run_sync(partial(self._fetch_here, parts, Path(to), on_bytes))

    def _fetch_here(self, parts: Sequence[str], to: Path, on_bytes: OnBytes | None) -> Path:
        """In a worker thread: files are read and written without holding up the rest."""
        with httpx.Client(timeout=S3_TIMEOUT_SECONDS) as client:
            return fetch(client, parts, to, lambda: anyio.from_thread.run(self._urls), on_bytes)

    async def _urls(self) -> Mapping[str, str]:
        return (await self.state()).urls
