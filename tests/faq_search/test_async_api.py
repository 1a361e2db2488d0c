"""The client to be awaited: the same calls as the other one."""

from __future__ import annotations

import inspect

import anyio
import pytest

from faq_search import (
    AsyncBatch,
    AsyncFaqSearch,
    Batch,
    BatchError,
    FaqSearch,
    FaqSearchError,
    NearestHit,
)
from tests.support.client import ID, SERVED, FakeApi, ended, running_s3, state

EMBEDDED = {"embeddings": [[0.5, -1.0]], "served_by": SERVED, "request_id": "r"}
THROTTLED = {"code": "throttled", "message": "Slower.", "request_id": "r"}


@pytest.fixture
def api():
    return FakeApi()


@pytest.fixture
def pauses(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    return pauses


def run(api, ask, **options):
    """What `ask` returns, which is given a client."""

    async def main():
        transport = api.transport()
        url = "https://faq.example.com/v1"
        async with AsyncFaqSearch(url, api_key="key", transport=transport, **options) as faq:
            return await ask(faq)

    return anyio.run(main)


@pytest.mark.parametrize(("other", "one"), [(AsyncFaqSearch, FaqSearch), (AsyncBatch, Batch)])
def test_both_clients_have_the_same_methods_and_arguments(other, one):
    def signatures(kind):
        return {
            name: [*inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert signatures(other) == signatures(one)


def test_asking(api):
    hits = [[{"corpus_id": 1, "score": 0.5}]]
    api.answer(200, EMBEDDED)
    api.answer(200, {"results": hits, "served_by": SERVED, "request_id": "r"})

    async def ask(faq):
        return await faq.embed(["a"]), await faq.nearest(["a", "b"], ["c"])

    embedded, nearest = run(api, ask)
    assert embedded.embeddings == [[0.5, -1.0]]
    assert nearest.results == [[NearestHit(1, 0.5)]]
    assert api.asked[0].path == "/v1/embed" and api.asked[0].headers["x-api-key"] == "key"


def test_requests_at_the_same_time(api):
    api.answer(200, EMBEDDED)

    async def ask(faq):
        async with anyio.create_task_group() as tasks:
            for text in "abc":
                tasks.start_soon(faq.embed, [text])

    run(api, ask)
    assert sorted(asked.body["texts"][0] for asked in api.asked) == ["a", "b", "c"]


def test_retries(api, pauses):
    api.answer(429, THROTTLED, Retry_After="2")
    api.answer(503, THROTTLED)
    api.answer(200, EMBEDDED)
    run(api, lambda faq: faq.embed(["a"]))
    assert 2 <= pauses[0] <= 2.5 and 0 <= pauses[1] <= 1
    api.answers = [(429, THROTTLED, {})]
    with pytest.raises(FaqSearchError, match="throttled"):
        run(api, lambda faq: faq.embed(["a"]), retries=1)
    assert (len(api.asked), len(pauses)) == (5, 3)


def test_a_batch_from_a_file_to_a_file(api, pauses, tmp_path):
    (tmp_path / "in").write_bytes(b'{"id": 1, "text_inputs": "a"}\n')
    with running_s3() as s3:
        s3.objects = {
            f"output/{ID}/00000.jsonl.out": b'{"id": 1}\n',
            f"output/{ID}/00001.jsonl.out": b'{"id": 2}',
            f"output/{ID}/rejects/00000.jsonl": b'{"line_number": 4}\n',
        }
        api.answer(
            202, state("awaiting_upload") | {"upload": {"url": s3.signed("up"), "headers": {}}}
        )
        api.answer(200, state("transforming"))
        api.answer(200, ended(s3))

        async def ask(faq):
            batch = await faq.batch(tmp_path / "in")
            await batch.wait()
            await batch.download_rejects(tmp_path / "no")
            return await batch.download(tmp_path / "out")

        assert run(api, ask).read_bytes() == b'{"id": 1}\n{"id": 2}\n'
        assert s3.objects["up"] == (tmp_path / "in").read_bytes()
    assert (tmp_path / "no").read_bytes() == b'{"line_number": 4}\n'
    assert pauses == [1]


def test_a_batch_that_failed(api):
    with running_s3() as s3:
        api.answer(200, ended(s3, status="failed", reason="The model is gone."))
    with pytest.raises(BatchError, match="The model is gone"):
        run(api, lambda faq: faq.find_batch(ID).wait())
