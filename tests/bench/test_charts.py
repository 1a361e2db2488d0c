"""The bench's pictures. matplotlib is loaded by the tests, not while all tests are collected."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np

from bench.report import Chart
from bench.texts import NINE_SENTENCES, TOPICS

CHART = Chart("speed", "Speed", "ms", ["one", "two"], {"ours": [1.0, 250.0], "other": [2.0, None]})


def png_size(file):
    head = file.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:])


def test_a_chart_is_a_png_and_always_the_same(tmp_path):
    from bench.charts import draw

    for name in ("first.png", "second.png"):
        draw(CHART, tmp_path / name)
    assert png_size(tmp_path / "first.png") == (720, 504)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_the_heat_map(tmp_path):
    from bench.heatmap import by_topic
    from faq_search.similarity import draw_heat_map

    size = len(NINE_SENTENCES)
    embeddings = np.random.default_rng(7).normal(size=(len(TOPICS), 16)).repeat(3, axis=0)
    found = np.corrcoef(embeddings + np.random.default_rng(8).normal(0, 0.1, (size, 16)))
    within, across = by_topic(found)
    assert within > 0.9 > 0.5 > abs(across)
    draw_heat_map(found.tolist(), NINE_SENTENCES, "Title", tmp_path / "map.png")
    assert png_size(tmp_path / "map.png") == (1140, 720)


def test_the_heat_map_of_a_deployment(tmp_path, monkeypatch, capsys):
    from bench import heatmap

    asked = []

    class Api:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def endpoints(self):
            return SimpleNamespace(model_id="minilm", model_version="2.0.1")

        def embed(self, texts):
            asked.extend(texts)
            rows = np.eye(len(TOPICS), 4).repeat(3, axis=0)
            return SimpleNamespace(embeddings=rows.tolist())

    monkeypatch.setattr(heatmap, "choose", lambda _: (None, None))
    monkeypatch.setattr(heatmap, "find_api", lambda *_: SimpleNamespace(connect=Api))
    assert heatmap.main(["--output", str(tmp_path / "map.png")]) == 0
    assert tuple(asked) == NINE_SENTENCES
    assert png_size(tmp_path / "map.png") == (1140, 720)
    assert "colour) 1.00, between topics -0.33" in " ".join(capsys.readouterr().out.split())


def test_a_heat_map_needs_a_deployment(tmp_path, monkeypatch, capsys):
    from bench import heatmap
    from commands.errors import CommandError

    def choose(_):
        raise CommandError("No local AWS is running.")

    monkeypatch.setattr(heatmap, "choose", choose)
    assert heatmap.main(["--output", str(tmp_path / "map.png")]) == 1
    assert capsys.readouterr().err == "No local AWS is running.\n"
