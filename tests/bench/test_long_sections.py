"""The sections that run only where they are asked for: their reports and what they count."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from bench.contenders import mixed_load
from bench.contenders.models import NEAREST, PRODUCT_OPERATIONS, projections
from bench.http_server import HttpServer
from bench.measure import BenchError
from bench.model_server import free_port
from bench.processes import MemoryLog, kind
from bench.random_models import MODELS, SIZES, Model, Size, operations, write_model, write_weights
from bench.sections import load, models, servers
from bench.sections.deployment import read_published
from container.bake.weights import find_model
from container.encoder.cpu import OpenVinoEncoder
from tests.support.bench import samples
from tests.support.container import minilm

MB = 1_000_000
TINY = Size(1, 32, 64, 4)


def rows(section, table=0):
    """A table's cells by its first column."""
    return {row[0]: list(row[1:]) for row in section.tables[table].rows}


def test_all_models_of_the_published_table_are_measured():
    assert list(MODELS) == list(read_published())
    assert {model.size for model in MODELS.values()} == set(SIZES)


@pytest.mark.parametrize(
    ("size", "millions"), [("MiniLM", 22.6), ("large", 334), ("multilingual large", 559)]
)
def test_the_sizes_are_the_real_models(size, millions):
    """By their published numbers of parameters, without the pooler, which no embedding needs."""
    it = SIZES[size]
    width = it.hidden_size
    embeddings = it.vocab_size + it.max_position_embeddings + it.type_vocab_size
    layer = 4 * width * (width + 1) + 2 * width * it.intermediate_size + it.intermediate_size
    total = width * embeddings + it.num_hidden_layers * layer
    assert total / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize(
    "changes", [{}, {"model_type": "xlm-roberta", "pad_token_id": 1, "type_vocab_size": 1}]
)
def test_a_random_model_is_one_that_the_encoder_runs(tmp_path, changes):
    size = Size(1, 32, 64, 4, **changes)
    weights = write_weights(size, tmp_path / "weights")
    folder = write_model(tmp_path / "model", Model("small", "cls", 64), weights, minilm(), size)
    found = find_model(folder, tmp_path, "gte-tiny", None)
    assert (found.config.family, found.config.pooling, found.config.normalize) == (
        *(size.model_type, "cls", True),
    )
    vectors = OpenVinoEncoder(found.config, folder).encode(["one text", "another one"])
    assert vectors.shape == (2, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert models.token_counts(folder, ["one text", "word " * 100]) == [4, 64]


def test_the_bare_projections_are_those_of_the_model(tmp_path):
    weights = write_weights(TINY, tmp_path / "weights")
    folder = write_model(tmp_path / "model", Model("small"), weights, minilm(), TINY)
    tensors = load_file(weights)

    def projected(states, name):
        name = f"encoder.layer.0.{name}"
        return states @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    states = np.ones((7, 32), np.float32)
    states = sum(projected(states, f"attention.self.{part}") for part in ("query", "key", "value"))
    states = projected(projected(states, "attention.output.dense"), "intermediate.dense")
    expected = projected(np.maximum(states, 0), "output.dense")
    found = projections(str(folder), {"seven tokens": 7})["seven tokens"]()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_as_many_mixed_texts_as_take_some_seconds():
    size = SIZES["base"]
    lengths = [100] * 500
    speed = operations(size.config(), [100]) * 50 / models._MIXED_SECONDS
    assert models.how_many(size, lengths, speed) == 50
    assert models.how_many(size, lengths, speed / 100) == 32
    assert models.how_many(size, lengths, speed * 100) == 500


def test_the_models_section():
    found = models.Found(
        {
            "fp32": samples(0.010, peak_bytes=300 * MB),
            "bf16": samples(0.005),
            models.THEIRS: samples(0.025, peak_bytes=900 * MB),
            models.PRODUCT: samples(0.1),
            models.PROJECTIONS: samples(0.009),
        },
        # At the product's speed 8 of the 10 ms.
        PRODUCT_OPERATIONS * 8 // 100,
        9,
    )
    section = models.section(
        {models.NINE: {"bge-base-en": found}, NEAREST: {}, models.MIXED: {"base": found}}
    )
    cells = ["25.0", "10.0", "5.00", "-", "2.50", "0.80", "0.90", "900", "300"]
    assert rows(section) == {"bge-base-en": [*cells, "21.2", "114"]}
    assert rows(section, 1) == {}
    assert rows(section, 2) == {"base": ["9", *cells[:6], *cells[7:]]}


def test_the_servers_section():
    def answers(*rates):
        return [{"per_second": r, "refused": 0.0, "p50": 0.01, "p95": 0.02} for r in rates]

    found = servers.Found(
        {"ours": [1.0, 2.0], "other": [4.0, 4.0]},
        {
            "ours": {1: answers(100, 200), 16: answers(300, 300), 64: answers(300, 300)},
            "other": {1: answers(50, 50), 16: answers(100, 100), 64: answers(0, 0)},
        },
        {"ours": 500 * MB},
    )
    section = servers.section(found)
    assert rows(section)["other, 16 clients"][:2] == ["100", "2.00"]
    assert rows(section, 1) == {
        "ours": ["1,500", "500", "1.00", "1.00", "1.00", "1.00"],
        "other": ["4,000", "-", "3.00", "3.00", "3.00", "-"],
    }


def test_the_load_section():
    def turn(rate, statuses):
        return {"per_second": rate, "statuses": statuses, "p50": 0.1, "p95": 0.3, "longest": 0.5}

    found = load.Found(
        {
            16: [turn(100, {"200": 10})],
            64: [turn(110, {"200": 6, "503": 2}), turn(130, {"503": 8})],
        },
        60.0,
        [
            (10.0, {"server": 900 * MB}),
            (60.0, {"server": 200 * MB, "encoder": 300 * MB}),
            (120.0, {"server": 202 * MB, "encoder": 300 * MB}),
        ],
        [(0.4, 10.0), (10.25, 10.0)],
        {"answered": 2, "expired": 1},
    )
    section = load.section(found)
    assert rows(section)["64 clients"] == [
        *("120", "1.20", "100", "300", "500"),
        "200: 6 (37.5%), 503: 10 (62.5%)",
    ]
    assert rows(section, 1)["together"] == ["500", "502", "502", "+2.00"]
    assert rows(section, 1)["encoder"][-1] == "+0.00"
    assert "10.25 s old; of 2 answers 1 came after the caller's budget (250 ms" in section.notes[-1]


def test_the_server_s_log_says_how_old_requests_were():
    about = {"message": "answered", "request_id": "1790000000.000 0.2 7", "mode": "embedding"}
    lines = [
        "2026-09-21T14:13:20,500 [INFO ] W-model-4-stdout a.b.WorkerLifeCycle - "
        + json.dumps(about),
        "2026-09-21T14:13:21,000 [INFO ] W-model-4-stdout a.b.WorkerLifeCycle - "
        + json.dumps(about | {"message": "expired", "request_id": None}),
        "2026-09-21T14:13:21,000 [INFO ] W-9000-model ACCESS_LOG - something else",
    ]
    ages, messages = load.read_log(lines)
    assert ages == [(pytest.approx(0.5), 0.2)]
    assert messages == {"answered": 1, "expired": 1}


def test_refused_callers_pause_and_answers_are_counted_by_status():
    def caller(number):
        statuses = iter(["503", "200", "caller gone"] if number else [])
        return lambda _chance: (next(statuses, "200"), 0.01)

    found = mixed_load.run(caller, 2, 0.2, seed=1)
    assert found["statuses"]["503"] == 1 and found["statuses"]["200"] > 10
    assert (found["p50"], found["longest"]) == (0.01, 0.01)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"[]", "200"),
        (400, b'{"message": "busy: another large request"}', mixed_load.BUSY),
        (400, b'{"message": "time_out: over"}', mixed_load.LATE),
        (400, b'{"message": "invalid_request: no"}', "400"),
        (503, b"", "503"),
    ],
)
def test_an_outcome_is_what_the_front_door_would_answer(status, body, outcome):
    assert mixed_load.outcome(status, body) == outcome


def test_mixed_requests_are_mostly_small():
    bodies, shares = mixed_load.bodies()
    sizes = [len(json.dumps(body)) for body in bodies]
    assert len(bodies) == len(shares) and sum(shares) == pytest.approx(1)
    assert sizes[-1] > 100_000 > max(sizes[:-1])
    chosen = random.Random(1).choices(sizes, shares, k=1_000)
    assert 0 < sum(size > 100_000 for size in chosen) < 30


def test_memory_is_that_of_all_processes_of_a_group():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True
    )
    log = MemoryLog(process.pid)
    try:
        with log.watching(60):
            pass
    finally:
        process.communicate(b"\n")
    assert len(log.samples) == 2
    assert set(log.samples[0][1]) <= {"workers"}
    assert log.peak > MB
    assert MemoryLog(os.getpid() + (1 << 22)).peak == 0


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"/usr/bin/java\0-Xmx1g\0com.amazonaws.ml.mms.ModelServer\0", "server"),
        (b"python\0-c\0from container.encoder.process import main\0", "encoder"),
        (b"python\0worker.py\0", "workers"),
    ],
)
def test_processes_are_named_by_what_they_do(command, expected):
    assert kind(command) == expected


def test_a_server_is_waited_for_and_ends_with_its_block():
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with HttpServer(command) as server:
        with pytest.raises(BenchError, match=r"no answer from .*: 501"):
            server.wait_for_answer(f"http://127.0.0.1:{port}", "", seconds=2)
        assert not server.ended()
    assert not Path(f"/proc/{server.group}").exists()


def test_a_server_that_cannot_start_says_why():
    command = [sys.executable, "-c", "raise SystemExit('no model')"]
    with HttpServer(command) as server, pytest.raises(BenchError, match="no model"):
        server.wait_for_answer("http://127.0.0.1:9", "")
