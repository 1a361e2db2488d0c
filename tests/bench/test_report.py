"""The bench's report: each section rendered from fixed figures."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contenders import indexes
from bench.contenders.front_doors import round_trip, stand_in
from bench.measure import BenchError
from bench.random_models import operations
from bench.report import Chart, Section, Table, megabytes, milliseconds, to_markdown
from bench.sections import bake, deployment, encoder, front_door, index, invocations, limits, start
from bench.sections.deployment import EMBED, NEAREST, Found, spread
from commands.verify.reading import init_seconds
from faq_search.results import Deployment, Endpoint
from tests.support.bench import samples

MB = 1_000_000


def rows(section, table=0):
    """A table's cells by its first column."""
    return {row[0]: list(row[1:]) for row in section.tables[table].rows}


def test_the_encoder_s_section():
    found = {
        "nine sentences": {
            "ours fp32": samples(0.010, 0.012, peak_bytes=300 * MB),
            encoder.REFERENCE: samples(0.025, 0.024, peak_bytes=800 * MB),
        },
        "2,000 mixed texts": {
            "ours fp32": samples(5.0, 6.0, peak_bytes=340 * MB),
            encoder.REFERENCE: samples(15.0, 12.0, peak_bytes=810 * MB),
        },
    }
    section = encoder.section(found, {"ours fp32": 0.99999991, encoder.REFERENCE: 1.0}, ["AVX2"])
    assert rows(section)["ours fp32"] == ["11.0", "5,500", "340", "1.000000"]
    assert rows(section, 1) == {"ours fp32": ["2.25", "2.50"], encoder.REFERENCE: ["1.00", "1.00"]}
    (chart,) = section.charts
    assert chart.series == {"ours fp32": [2.25, 2.5]}
    assert "AVX2" in section.notes[0]


def test_the_worst_cosine():
    found = np.array([[1, 0], [1, 1]], dtype=np.float32)
    expected = np.array([[2, 0], [1, 0]], dtype=np.float32)
    assert encoder.worst_cosine(found, expected) == pytest.approx(2**-0.5)


def test_the_index_s_section():
    by_name = {
        index.OURS: samples(0.004),
        index.SEMANTIC: samples(0.012),
        index.FAISS: samples(0.006),
        index.PRODUCT: samples(0.0035),
    }
    section = index.section({100_000: {"1 queries": by_name, "16 queries": by_name}})
    shown = rows(section)
    assert shown["100,000 entries, 1 query"] == ["4.00", "12.0", "6.00", "3.50", "3.00", "1.50"]
    assert "100,000 entries, 16 queries" in shown


def test_the_rankings_are_compared_with_two_vectors_an_entry():
    of_ranking = {
        index.TWO: samples(0.008),
        index.VECTORS: samples(0.01),
        index.HYBRID: samples(0.012),
    }
    others = {index.SEMANTIC: samples(0.012), index.FAISS: samples(1), index.PRODUCT: samples(1)}
    by_name = {index.OURS: samples(0.004), index.WORDS: samples(0.0005), **others, **of_ranking}
    section = index.section({1_000: {"1 queries": by_name}})
    assert rows(section, 1) == {
        "1,000 entries, 1 query": ["4.00", "8.00", "10.0", "12.0", "0.50", "1.50"]
    }


def test_contenders_that_find_different_entries_are_not_compared():
    first = np.arange(200).reshape(20, 10)
    index.check_same(first, first)
    tied = first.copy()
    tied[0, 0] = 99
    index.check_same(first, tied)
    with pytest.raises(BenchError, match="different entries"):
        index.check_same(first, first[:, ::-1])


def test_our_index_finds_what_the_bare_product_says(tmp_path):
    indexes.write_index(str(tmp_path), 300, 8, "hybrid")["write"]()
    for task, ours in indexes.ours(str(tmp_path), "hybrid").items():
        scores = indexes.matrix_product(str(tmp_path))[task]()
        best = np.argsort(-scores, axis=1)[:, :10]
        assert ours() == best.tolist()
    of_rankings = (indexes.two_vectors, indexes.vectors, indexes.hybrid, indexes.words)
    for of_ranking in of_rankings:
        for task, search in of_ranking(str(tmp_path), "hybrid").items():
            assert len(search()) == int(task.split()[0])


def test_the_limits_section():
    config = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}
    # 12 x 384^2 multiplications and additions a layer and token; and attention.
    assert operations(config, [1]) == 6 * (2 * 12 * 384**2 + 4 * 384)
    assert operations(config, [10, 10]) == 2 * operations(config, [10])
    found = {"fp32": samples(0.1), "bf16": samples(0.025), "read": samples(0.05)}
    section = limits.section(found, config, {"two": [100, 100]})
    assert rows(section) == {
        "matrix product, fp32": ["172 GFLOP/s"],
        "matrix product, bf16": ["687 GFLOP/s"],
        "reading memory": ["21.5 GB/s"],
    }
    assert rows(section, 1) == {"two": ["200", "4.43", "25.8", "6.45"]}
    assert rows(section, 2)["100,000 entries"] == ["7.15"]


def test_the_start_s_section():
    section = start.section(
        {
            start.OURS: samples(1.5, 1.5, peak_bytes=200 * MB),
            start.REFERENCE: samples(7.5, 9.0, peak_bytes=500 * MB),
        }
    )
    assert rows(section)[start.OURS] == ["1,500", "5.50", "200"]


def test_the_bake_s_section():
    section = bake.section({bake.BAKE: samples(10.0), bake.BARE: samples(9.5)}, 19_000)
    assert rows(section)[bake.BAKE][:2] == ["1,900", "0.95"]
    assert "95%" in section.notes[1]


def load(per_second, p50, refused=0.0):
    return {"per_second": per_second, "refused": refused, "p50": p50, "p95": 2 * p50}


def test_the_invocations_section():
    section = invocations.section(
        {
            "one worker": {1: [load(100, 0.010)], 16: [load(120, 0.1)]},
            "2 workers, a model each": {1: [load(90, 0.012)], 16: [load(150, 0.1)]},
            "8 workers, one model": {1: [load(95, 0.0105)], 16: [load(190, 0.08)]},
        }
    )
    assert rows(section)["8 workers, one model, 16 clients"] == ["190", "2.00", "80.0", "160", "0%"]
    assert "is 1.05 of that with one worker and 0.88 of that with 2 workers" in section.notes[2]
    assert section.notes[2].endswith("the latter's is 1.20 of that with one worker.")


def test_the_front_door_s_section():
    section = front_door.section(
        {front_door.OURS: samples(0.2), front_door.USUAL: samples(0.4)},
        {front_door.COLD: samples(0.25), front_door.RESTORED: samples(0.01)},
        {
            front_door.OURS: samples(0.0012),
            front_door.PLAIN: samples(0.0010),
            front_door.FLOOR: samples(0.0003),
        },
        "Under Lambda's Python.",
    )
    assert rows(section)[front_door.OURS][:2] == ["200", "2.00"]
    assert rows(section, 1)[front_door.RESTORED][:2] == ["10.0", "25.00"]
    assert rows(section, 2)[front_door.OURS] == ["1.20", "0.90"]
    assert "takes 50% of" in section.notes[1]


def found(*, is_local=True, cold_starts=(), model="huggingface-sentencesimilarity-bge-small-en"):
    deployed = Deployment(
        *((Endpoint("ml.c6i.xlarge", "faq"),), model, "2.0.1", 384, "c0ffee", "0123456789abcdef"),
        *("on", "request-1"),
    )
    seconds = {"ml.c6i.xlarge, endpoint": [0.010] * 99 + [0.110]}
    by_clients = {1: load(50, 0.02), 4: load(90, 0.04), 16: load(100, 0.1)}
    by_clients[64] = {"per_second": 0.0, "refused": 1.0, "p50": None, "p95": None}
    return Found(
        *(deployed, is_local, {EMBED: seconds, NEAREST: seconds}, {"REST API": by_clients}),
        cold_starts,
    )


def test_the_deployment_s_section():
    section = deployment.section(found())
    assert rows(section)["ml.c6i.xlarge, endpoint"] == ["11.0", "10.0", "10.0", "28.3", "45.6"]
    assert rows(section, 1)["ml.c6i.xlarge, endpoint"][3:] == ["29.2", "124"]
    assert rows(section, 2)["REST API, 16 clients"] == ["100", "2.00", "100", "200", "0%"]
    assert rows(section, 2)["REST API, 64 clients"] == ["0", "0.00", "none", "none", "100%"]
    assert any("nothing here was measured on AWS" in note for note in section.notes)
    assert any("AWS's walk-through" in note for note in section.notes)
    assert len(deployment.read_published()) == 13


def test_a_deployment_on_aws_tells_its_cold_starts():
    section = deployment.section(found(is_local=False, cold_starts=[0.4, 0.6, 0.5], model="own"))
    assert rows(section)["ml.c6i.xlarge, endpoint"][3:] == ["?", "?"]
    assert any("3, Lambda's Init Duration 500 ms (median), 600 ms" in n for n in section.notes)
    assert not any("local AWS:" in note for note in section.notes)


def test_init_durations_are_read_from_lambda_s_reports():
    lines = [
        "REPORT RequestId: a Duration: 3.01 ms Max Memory Used: 90 MB Init Duration: 512.34 ms",
        "REPORT RequestId: b Duration: 3.01 ms",
        "REPORT RequestId: c Restore Duration: 250.5 ms Billed Restore Duration: 90 ms",
        "INIT_REPORT Init Duration: 900.00 ms Phase: init",  # for a snapshot
    ]
    assert init_seconds(lines) == [pytest.approx(0.51234), pytest.approx(0.2505)]


def test_mean_median_and_95th_percentile():
    assert spread([n / 1000 for n in range(1, 101)]) == ("50.5", "50.5", "95.0")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.00094, "0.94"), (0.0239, "23.9"), (0.369, "369"), (1.24, "1,240")]
)
def test_milliseconds_have_three_digits(seconds, shown):
    assert milliseconds(seconds) == shown


def test_megabytes_are_of_a_million_bytes():
    assert megabytes(1_234_567_890) == "1,235"


def test_the_report():
    table = Table("Speed", ["", "ms"], [["a | b", "1.00"]])
    chart = Chart("speed", "Speed", "ms", ["one"], {"ours": [1.0]})
    section = Section("Speed of it", ["A note."], [table], [chart])
    machine = {"processor": "AMD", "instruction sets": ["AVX2"], "libraries": {"numpy": "2.0"}}
    charts = {"speed": "name-speed.png"}
    assert to_markdown("2026-11-23", machine, [section], charts, quick=True) == (
        "# Benchmark of 2026-11-23\n\n"
        "A quick run: too few samples to quote; it only shows that everything works.\n\n"
        "| machine |  |\n| --- | --- |\n| processor | AMD |\n| instruction sets | AVX2 |\n"
        "| libraries | numpy 2.0 |\n\n"
        "## Speed of it\n\n**Speed**\n\n|  | ms |\n| --- | --: |\n| a \\| b | 1.00 |\n\n"
        "- A note.\n\n![Speed](name-speed.png)\n"
    )


def test_the_stand_in_for_sagemaker_answers(monkeypatch):
    port = stand_in()["port"]()["port"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    round_trip()["search"]()
