"""Weights and inputs of eight bits: how near the vectors are, what is stored, and who computes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from container.artifact import WEIGHTS
from container.bake import quantize
from container.bake.quantize import quantize_file
from container.encoder import cpu, load
from container.encoder.cpu import MappedTensors, OpenVinoEncoder
from container.encoder.quantized import dequantized
from container.machine import has_int8_products
from container.serving.service import Service
from tests.support.container import BakeRun, faq_csv, minilm, write_tiny_model, write_weights

TEXTS = [
    "hello world",
    "abc",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "é hello",
    "z",
]
FAMILIES = ("bert", "roberta", "xlm-roberta")


class OnGpu(OpenVinoEncoder):
    """In place of the encoder for GPUs, as far as precisions go."""

    device = "cuda (NVIDIA A10G)"

    @staticmethod
    def precisions():
        return ("fp32", "fp16")


@pytest.fixture
def quantized(tmp_path):
    """Makes a tiny model of a family: its configuration, and its weights in both forms."""

    def make(family="bert", **changes):
        write_tiny_model(tmp_path / "source", family, **changes)
        config = write_weights(tmp_path / "source", tmp_path)
        tokens = OpenVinoEncoder(config, tmp_path / WEIGHTS).tokenize(TEXTS)
        quantize_file(config, tokens, tmp_path / WEIGHTS, tmp_path / "int8")
        return config, tmp_path / WEIGHTS, tmp_path / "int8"

    return make


def cosines(some, others):
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return (some * others).sum(axis=1) / lengths


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_near_those_of_fp32_and_nearer_in_float(quantized, family):
    config, full, small = quantized(family)
    expected = OpenVinoEncoder(config, full).encode(TEXTS)
    in_float = OpenVinoEncoder(config, small)
    assert cosines(in_float.encode(TEXTS), expected).min() > 0.999
    in_int8 = OpenVinoEncoder(config, small, precision="int8")
    assert in_int8.precision == "int8"
    assert cosines(in_int8.encode(TEXTS), expected).min() > 0.99


def test_channels_with_large_values_cost_little(quantized, monkeypatch):
    """One channel of a layer's output is a hundred times as large, as in trained models."""
    write = quantize.MappedTensors

    def with_outlier(file):
        tensors = write(file)
        inner = tensors["encoder.layer.0.intermediate.dense.bias"]
        inner[3] = 100
        tensors["encoder.layer.0.output.dense.weight"][:, 3] *= 0.01
        return tensors

    monkeypatch.setattr(quantize, "MappedTensors", with_outlier)
    monkeypatch.setattr(cpu, "MappedTensors", with_outlier)
    config, full, small = quantized()
    expected = OpenVinoEncoder(config, full).encode(TEXTS)
    monkeypatch.setattr(cpu, "MappedTensors", write)
    found = OpenVinoEncoder(config, small, precision="int8").encode(TEXTS)
    assert cosines(found, expected).min() > 0.99


def test_all_products_of_weights_are_of_eight_bits(quantized, monkeypatch):
    config, _, small = quantized()
    monkeypatch.setattr(cpu, "has_int8_products", lambda: True)
    encoder = OpenVinoEncoder(config, small, precision="int8")
    graph = encoder._request.get_compiled_model().get_runtime_model()
    products = [
        [str(given.get_element_type()) for given in node.inputs()[:2]]
        for node in graph.get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    ]
    assert products == 6 * config.layers * [["<Type: 'uint8_t'>", "<Type: 'int8_t'>"]]


def test_products_in_float_give_the_same(quantized, monkeypatch):
    # With seven bits, so that sums of two products fit the 16 bits of processors without VNNI.
    monkeypatch.setattr(quantize, "_LARGEST", 63)
    config, _, small = quantized()
    found = {}
    for able in (True, False):
        monkeypatch.setattr(cpu, "has_int8_products", lambda able=able: able)
        encoder = OpenVinoEncoder(config, small, precision="int8")
        assert ("in fp32 (this processor has no VNNI)" in encoder.runtime) is not able
        found[able] = encoder.encode(TEXTS)
    np.testing.assert_allclose(found[True], found[False], atol=2e-3)


@pytest.mark.parametrize(
    ("flags", "able"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", True),
        ("flags\t\t: fpu avx2 avx_vnni", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("Features\t: asimd i8mm", False),
        ("", False),
    ],
)
def test_what_processors_can_do_is_read_from_their_flags(tmp_path, flags, able):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    assert has_int8_products(tmp_path / "cpuinfo") is able


def test_a_machine_that_says_nothing_of_its_processor_computes_in_float(tmp_path):
    assert has_int8_products(tmp_path / "missing") is False


def test_the_weights_take_a_quarter(quantized):
    _, full, small = quantized(hidden_size=256, intermediate_size=1024)
    files = [folder / "model.safetensors" for folder in (full, small)]
    sizes = [file.stat().st_size for file in files]
    assert sizes[1] / sizes[0] < 0.29  # positions, norms and biases stay as they are
    tensors = MappedTensors(files[1])
    in_float = dequantized(tensors)
    assert {name: tensor.shape for name, tensor in in_float.items()} == {
        name: tensor.shape for name, tensor in MappedTensors(files[0]).items()
    }
    kept = [name for name, tensor in tensors.items() if tensor.dtype != np.int8 and tensor.ndim > 1]
    assert sorted(kept) == [
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
    ]


def test_the_same_texts_give_the_same_weights(quantized, tmp_path):
    config, full, small = quantized()
    tokens = OpenVinoEncoder(config, full).tokenize(TEXTS)
    quantize_file(config, tokens, full, tmp_path / "again")
    names = ("config.json", "model.safetensors", "tokenizer.json")
    assert [(small / n).read_bytes() for n in names] == [
        (tmp_path / "again" / n).read_bytes() for n in names
    ]


def test_weights_of_another_form_are_not_taken_for_int8(quantized):
    config, full, _ = quantized()
    with pytest.raises(ValueError, match="the weights are not quantised"):
        OpenVinoEncoder(config, full, precision="int8")


def test_a_gpu_serves_them_in_float(quantized, monkeypatch):
    config, full, small = quantized()
    monkeypatch.setattr(load, "_encoder_kind", lambda: OnGpu)
    encoder = load.open_encoder(small, config, precision="int8")
    assert encoder.precision == "fp32"
    assert "fp32 (baked for int8, which this processor does not have)" in encoder.runtime
    expected = OpenVinoEncoder(config, full).encode(TEXTS)
    assert cosines(encoder.encode(TEXTS), expected).min() > 0.999


class TestBake:
    def test_the_artifact_is_served_and_has_probes_for_both_devices(self, tmp_path):
        run = BakeRun(tmp_path / "ml", minilm(), faq_csv())
        assert run.run_here(precision="int8") == 0, run.failure
        manifest = json.loads((run.model / "bake-manifest.json").read_text())
        assert manifest["model"]["precision"] == "int8"
        check = manifest["precision_check"]
        assert check["top_3"] == {"fp32": 1.0, "int8": 1.0}
        assert check["mean_cosine"] > 0.99
        small, full = run.model / WEIGHTS / "model.safetensors", minilm() / "model.safetensors"
        assert small.stat().st_size / full.stat().st_size < 0.27
        probes, others = manifest["probes"], manifest["float_probes"]
        assert [each["query"] for each in probes] == [each["query"] for each in others]
        assert [each["scores"] for each in probes] != [each["scores"] for each in others]
        service = Service.open(run.model, "bake-1")
        assert "int8" in json.loads(service.answer('{"mode": "info"}', None))["runtime"]
        body = json.dumps({"queries": [each["query"] for each in probes], "mode": "search"})
        found = json.loads(service.answer(body, None))["results"]
        for hits, probe in zip(found, probes, strict=True):
            assert [hit["id"] for hit in hits] == probe["ids"]
            assert [hit["score"] for hit in hits] == pytest.approx(probe["scores"], abs=1e-3)

    def test_a_gpu_refuses(self, tiny_run, monkeypatch):
        monkeypatch.setattr(load, "_encoder_kind", lambda: OnGpu)
        run = tiny_run()
        assert run.run_here(precision="int8") == 1
        assert run.failure == (
            "The precision int8 needs a processor with instructions for it (a CPU), which this "
            "machine (cuda (NVIDIA A10G)) does not have. Choose another bake instance, or set "
            'model.precision = "fp32".'
        )

    def test_what_is_too_far_from_fp32_is_refused(self, tiny_run, monkeypatch):
        # Four steps instead of 255.
        monkeypatch.setattr(quantize, "_LARGEST", 2)
        run = tiny_run()
        assert run.run_here(precision="int8") == 1
        assert "The precision int8 is not good enough for this corpus: top-3" in run.failure
        assert "the mean cosine to fp32 is 0." in run.failure
        assert 'Set model.precision = "fp32".' in run.failure
        assert not run.model.exists()

    def test_without_a_corpus_there_is_nothing_to_look_at(self, tiny_run):
        run = tiny_run()
        del run.settings["corpus_sha256"]
        assert run.run_here(precision="int8") == 1
        assert run.failure.startswith("The precision int8 needs a corpus")
