"""The bench's arithmetic, and its processes."""

from __future__ import annotations

import json
import sys
from itertools import cycle

import numpy as np
import pytest
from rich.progress import Progress

from bench import context
from bench.child import peak_bytes
from bench.contenders.load import load, summary
from bench.machine import has_bf16, has_vnni, instruction_sets, parse_cpuinfo, slug
from bench.measure import BenchError, Contender, Process, times_faster
from bench.texts import mixed_texts
from tests.support.bench import samples


@pytest.fixture
def bench(monkeypatch, tmp_path):
    monkeypatch.setattr(context, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(Process, "samples_file", tmp_path / "samples.jsonl")
    return context.Bench(tmp_path, Progress(disable=True), {}, sys.executable, None)


def contender(word="tea"):
    return Contender(word, sys.executable, "tests.support.bench:contender", {"word": word})


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    """While the machine is slow for one round, it is so for both."""
    ours, theirs = samples(1.0, 10.0, 1.0), samples(3.0, 20.0, 4.0)
    assert times_faster(ours, theirs) == 3.0
    assert times_faster(theirs, theirs) == 1.0
    assert times_faster(samples((1.0, 2.0, 9.0)), samples((5.0, 6.0, 6.0))) == 3.0


def test_samples_median_is_of_all_runs():
    assert samples((1.0, 2.0), (3.0, 4.0, 10.0)).median == 3.0


def test_contenders_take_turns_in_processes_of_their_own(bench):
    both = [contender("tea"), contender("milk")]
    found = bench.compare("drinks", both, {"array": 2}, bench.work, rounds=3)["array"]
    assert [len(one) for one in found["milk"].rounds] == [2, 2, 2]
    assert found["tea"].peak_bytes > 1 << 20
    assert np.load(bench.work / "tea-array.npy").tolist() == [[1.0, 2.0]]
    lines = (bench.work / "samples.jsonl").read_text().splitlines()
    kept = [(one["contender"], len(one["seconds"])) for one in map(json.loads, lines)]
    assert kept == [("tea", 1), ("milk", 1), *[("tea", 2), ("milk", 2)] * 3]


def test_a_task_s_value_comes_back_whatever_its_library_prints():
    with Process(contender()) as process:
        assert process.run("say").value == {"word": "tea"}


def test_a_failed_task_says_what_the_process_said():
    with pytest.raises(BenchError, match=r"(?s)tea: fail failed.*ValueError: no tea left"):  # noqa: SIM117
        with Process(contender()) as process:
            process.run("fail")


def test_from_the_start_leaves_out_a_first_round(bench):
    found = bench.from_start("tea", [contender()], "say", 1)
    inside = bench.from_start("tea", [contender()], "say", 1, inside=True)
    assert len(found["tea"].rounds) == 1
    assert inside["tea"].median < 0.01 < found["tea"].median


def test_peak_memory_is_this_process_s_own():
    assert 1 << 20 < peak_bytes() < 1 << 34


def test_the_load_s_summary():
    found = summary([0.01 * n for n in range(1, 21)], 5, 2.0)
    assert (found["per_second"], found["refused"]) == (10, 0.2)
    assert (found["p50"], found["p95"]) == (pytest.approx(0.105), pytest.approx(0.1905))
    assert summary([], 3, 1.0) == {"per_second": 0, "refused": 1, "p50": None, "p95": None}


def test_the_load_has_as_many_callers_as_asked_for():
    callers = []

    def caller():
        callers.append(cycle([True, False]))
        return callers[-1].__next__

    found = load(caller, clients=2, seconds=0.05)
    assert len(callers) == 2
    assert found["per_second"] > 0
    assert 0 < found["refused"] < 1


def test_a_caller_that_cannot_begin_ends_the_load():
    def caller():
        raise OSError("nobody there")

    with pytest.raises(OSError, match="nobody there"):
        load(caller, clients=2, seconds=0.01)


CPUINFO = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz
flags\t\t: fpu avx2 avx512f avx512_vnni sse4_2

processor\t: 1
model name\t: another
flags\t\t: amx_bf16
"""


def test_the_machine_s_description():
    name, flags = parse_cpuinfo(CPUINFO)
    assert name == "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"
    assert instruction_sets(flags) == ["AVX2", "AVX-512", "AVX512-VNNI"]
    machine = {"processor": name, "processors": "2 (one hardware thread a core)"}
    assert slug(machine) == "intel-xeon-platinum-8375c-2-cpus"
    assert not has_bf16({"instruction sets": ["AVX-512"]})
    assert has_bf16({"instruction sets": ["AVX512-BF16"]})
    assert has_vnni({"instruction sets": instruction_sets(flags)})
    assert not has_vnni({"instruction sets": ["AVX2", "AVX-512"]})
    assert parse_cpuinfo("") == ("", frozenset())


def test_the_mixed_texts_are_always_the_same_and_of_mixed_length():
    texts = mixed_texts(200)
    assert texts == mixed_texts(200)
    lengths = sorted(len(text.split()) for text in texts)
    assert lengths[20] < 20 and lengths[-20] > 100
