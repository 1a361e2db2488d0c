"""The encoder against a plain numpy version of the same model, and on unusual texts."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from container.encoder import load
from container.encoder.cpu import MappedTensors, OpenVinoEncoder
from container.errors import LoadError
from tests.support.container import REPOSITORY, write_tiny_model, write_weights

TEXTS = ["hello world", "", "abc", "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 4, "é"]


def tiny(tmp_path, family="bert", pooling="mean", length=None, **changes):
    source = tmp_path / "source"
    write_tiny_model(source, family, **changes)
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text(f'{{"pooling_mode": "{pooling}"}}')
    config = write_weights(source, tmp_path, max_seq_length=length)
    return OpenVinoEncoder(config, tmp_path / "weights")


def by_hand(encoder, folder, text):
    """One text through the model, token by token, in float64."""
    weights = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}
    config = encoder.config
    ids = np.array(encoder.tokenize([text])[0])
    offset = 0 if config.position_offset is None else config.position_offset + 1

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + config.layer_norm_eps)
        return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = norm(
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][np.arange(len(ids)) + offset]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "embeddings.LayerNorm",
    )
    size = config.dimension // config.heads
    for number in range(config.layers):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            linear(x, f"{layer}.attention.self.{part}").reshape(len(ids), config.heads, size)
            for part in ("query", "key", "value")
        )
        scores = np.einsum("ihd,jhd->hij", query, key) / math.sqrt(size)
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        context = np.einsum("hij,jhd->ihd", share, value).reshape(len(ids), -1)
        x = norm(
            linear(context, f"{layer}.attention.output.dense") + x,
            f"{layer}.attention.output.LayerNorm",
        )
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(linear(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
    pooled = {"mean": x.mean(0), "cls": x[0], "max": x.max(0)}[config.pooling]
    return pooled / np.linalg.norm(pooled) if config.normalize else pooled


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "roberta"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_agrees_with_the_model_by_hand(tmp_path, family, pooling):
    encoder = tiny(tmp_path, family, pooling)
    found = encoder.encode(TEXTS)
    expected = np.array([by_hand(encoder, tmp_path / "weights", text) for text in TEXTS])
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_order_and_batches_do_not_change_the_vectors(minilm_encoder):
    texts = ["a", "a longer text " * 20, "", "middle sized text", "b"] * 9
    together = minilm_encoder.encode(texts)
    assert together.dtype == np.float32
    assert together.shape == (45, 384)
    for number in range(5):
        alone = minilm_encoder.encode([texts[number]])
        np.testing.assert_allclose(together[number], alone[0], atol=1e-6)


def test_long_texts_are_cut_at_the_models_length(minilm_encoder):
    assert minilm_encoder.config.max_seq_length == 256
    long, longer = minilm_encoder.encode(["word " * 254, "word " * 900])
    np.testing.assert_allclose(long, longer, atol=1e-6)


def test_max_seq_length_may_be_overridden(tmp_path):
    encoder = tiny(tmp_path, length=4)
    first, second = encoder.encode(["a b", "a b c d e"])
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t ", "🐶", "\u200b", "\x00", "[PAD] [MASK]", "привет " * 900]
)
def test_any_text_has_a_vector(minilm_encoder, text):
    (vector,) = minilm_encoder.encode([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_texts_have_no_vectors(minilm_encoder):
    assert minilm_encoder.encode([]).shape == (0, 384)


def test_topics_are_distinguished(minilm_encoder):
    dog, cute, cell = minilm_encoder.encode(
        [
            "How cute your dog is!",
            "Your dog is so cute.",
            "The mitochondria is the powerhouse of the cell.",
        ]
    )
    assert dog @ cute > 0.8 > 0.1 > dog @ cell


def test_without_normalising_the_length_is_the_models(tmp_path):
    source = tmp_path / "source"
    write_tiny_model(source)
    (source / "pool").mkdir()
    (source / "pool" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (source / "modules.json").write_text(
        '[{"path": "", "type": "sentence_transformers.models.Transformer"},'
        ' {"path": "pool", "type": "sentence_transformers.models.Pooling"}]'
    )
    config = write_weights(source, tmp_path)
    assert (config.normalize, config.pooling) == (False, "cls")
    encoder = OpenVinoEncoder(config, tmp_path / "weights")
    expected = by_hand(encoder, tmp_path / "weights", "hello")
    assert abs(np.linalg.norm(expected) - 1) > 0.1
    np.testing.assert_allclose(encoder.encode(["hello"])[0], expected, atol=2e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")
def test_weights_are_not_kept_twice_and_few_words_are_read(tmp_path):
    encoder = tiny(tmp_path, hidden_size=256, intermediate_size=1024, vocab_size=20_000)
    encoder.encode(TEXTS)
    file = tmp_path / "weights" / "model.safetensors"
    assert file.stat().st_size > 25e6
    assert resident_kilobytes(file) < 1000


def resident_kilobytes(file):
    """How much of a mapped file is in this process's memory."""
    found, here = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if not line.split()[0].endswith(":"):
            here = line.endswith(str(file))
        elif here and line.startswith("Rss:"):
            found.append(int(line.split()[1]))
    assert found
    return sum(found)


TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.weight": np.array([1.5], dtype=np.float32),
}


def test_tensors_are_mapped_and_writing_to_them_leaves_the_file_as_it_is(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(TENSORS, file, metadata={"format": "pt"})
    before = file.read_bytes()
    found = MappedTensors(file)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor)
    found["a"][0, 0] = 99
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes()[:-1]),
            "is neither float32 nor int8,",
        ),
        (
            lambda file: save_file({"a": np.zeros(3, np.float16)}, file),
            "the tensor a is neither",
        ),
        (lambda file: file.write_bytes(b""), None),
        (lambda file: file.write_bytes(b"no tensors at all"), None),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path, damage, words):
    file = tmp_path / "model.safetensors"
    save_file(TENSORS, file)
    damage(file)
    with pytest.raises(ValueError, match=words):
        MappedTensors(file)


def test_opening_an_encoder_does_not_import_openvinos_converter():
    code = (
        "import sys; from container.encoder import load; load._encoder_kind();"
        "print(*[name for name in ('openvino', 'openvino.tools.ovc') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "openvino\n"


class TestGpu:
    """Where a GPU is, it must work."""

    @pytest.fixture
    def torch(self, tmp_path, monkeypatch):
        """PyTorch for CUDA on a machine with a GPU, as far as the choice of a device sees it."""
        (tmp_path / "nvidia0").touch()
        (tmp_path / "nvidiactl").touch()
        monkeypatch.setattr(load, "_DEVICES", tmp_path)
        torch = SimpleNamespace(
            __version__="2.6.0+cu124",
            version=SimpleNamespace(cuda="12.4"),
            cuda=SimpleNamespace(init=lambda: None),
        )
        monkeypatch.setitem(sys.modules, "torch", torch)
        return torch

    def test_one_that_works_is_used(self, torch):
        assert load._has_gpu()

    def test_without_a_device_torch_is_not_asked(self, torch, tmp_path, monkeypatch):
        (tmp_path / "nvidia0").unlink()
        monkeypatch.setitem(sys.modules, "torch", None)
        assert not load._has_gpu()

    def test_one_that_does_not_work_is_no_reason_to_use_the_cpu(self, torch):
        def init():
            raise RuntimeError("The NVIDIA driver on your system is too old")

        torch.cuda.init = init
        with pytest.raises(LoadError, match=r"nvidia0; PyTorch 2\.6\.0\+cu124 .* too old"):
            load._has_gpu()

    def test_a_torch_that_cannot_be_imported_is_reported(self, torch, monkeypatch, tmp_path):
        (tmp_path / "torch.py").write_text("import libcudart_of_another_version")
        monkeypatch.delitem(sys.modules, "torch")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match="libcudart"):
            load._has_gpu()

    def test_a_machine_without_torch_for_cuda_is_a_developers(self, torch, monkeypatch):
        torch.version.cuda = None
        assert not load._has_gpu()
        monkeypatch.delitem(sys.modules, "torch")
        monkeypatch.setattr(sys, "path", [])
        assert not load._has_gpu()
