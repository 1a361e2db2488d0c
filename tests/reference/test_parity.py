"""Both encoders against sentence-transformers and transformers."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer

from container.artifact import read_manifest
from container.bake.quantize import quantize_file
from container.encoder.cpu import OpenVinoEncoder
from container.encoder.gpu import TorchEncoder
from container.encoder.load import model_config
from tests.reference.conftest import SAMPLE
from tests.support.container import minilm, write_tiny_model, write_weights

LEAST_COSINE = 0.9999
ENCODERS = {
    "openvino": OpenVinoEncoder,
    "torch": lambda config, weights: TorchEncoder(config, weights, device="cpu"),
}

# On a processor without bfloat16 OpenVINO computes in float32, which passes as well.
REDUCED = {
    "openvino bf16": lambda config, weights: OpenVinoEncoder(config, weights, precision="bf16"),
    "torch bf16": lambda config, weights: TorchEncoder(
        config, weights, precision="bf16", device="cpu"
    ),
    "torch fp16": lambda config, weights: TorchEncoder(
        config, weights, precision="fp16", device="cpu"
    ),
}


def sample_texts() -> list[str]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return [text for row in csv.reader(file) for text in row]


def varied_texts() -> list[str]:
    """500 texts: short, long, (nearly) empty, several scripts, emoji and unusual characters."""
    sample = sample_texts()
    russian = ["Как обучить модель?", "Стоимость зависит от времени работы.", "ёж, Ёлка й"]
    chinese = ["如何训练模型", "終端節點的費用取決於運行時間", "日本語のテキスト", "한국어 텍스트"]
    odd = [
        *(
            "",
            " ",
            "\n\t\r ",
            "🐶",
            "🐶🐕‍🦺👩‍👩‍👧",
            "\u200b",
            "\x00",
            "a\x00b",
            "\ufffd",
            "...",
            "?",
            "a",
        ),
        *("[CLS] [SEP] [PAD] [UNK] [MASK]", "<s></s><pad>", "\uff26\uff35\uff2c\uff2c", "ﬁ Å Å"),
        *("مرحبا بالعالم", "שלום", "नमस्ते दुनिया", "สวัสดี", "naïve café", "UPPER lower MiXeD"),
        *("x" * 5000, "word " * 3000, "1234567890" * 60, "import numpy as np\nx = 1"),
        *("e\u0301 combining", "\u202eright to left\u202c", "tab\tand\u00a0space"),
        "https://docs.aws.amazon.com/sagemaker/latest/dg/whatis.html?x=1&y=2",
    ]
    mixed = [f"{a} {b} 🎉 {c}" for a in russian for b in chinese for c in sample[:3]]
    long = [" ".join(sample[n : n + size]) for n, size in enumerate((5, 10, 20, 40) * 6)]
    texts = [*russian, *chinese, *odd, *mixed, *long, *sample]
    assert len(texts) >= 500
    return texts[:500]


def worst_cosine(found, expected):
    product = (found * expected).sum(axis=1)
    return (product / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)).min()


@pytest.fixture(scope="session")
def reference():
    return SentenceTransformer(str(minilm()), device="cpu")


@pytest.fixture(scope="session")
def expected(reference):
    return reference.encode(varied_texts())


@pytest.mark.parametrize("name", ENCODERS)
def test_all_minilm_agrees_on_500_varied_texts(artifact, expected, name, record_property):
    config = model_config(artifact, read_manifest(artifact))
    found = ENCODERS[name](config, artifact / "weights").encode(varied_texts())
    worst = worst_cosine(found, expected)
    record_property("worst_cosine", float(worst))
    print(f"{name}: worst cosine {worst:.8f}")
    assert worst >= LEAST_COSINE
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", REDUCED)
def test_all_minilm_in_reduced_precision_is_near(artifact, expected, name, record_property):
    config = model_config(artifact, read_manifest(artifact))
    found = REDUCED[name](config, artifact / "weights").encode(varied_texts()[:150])
    worst = worst_cosine(found, expected[:150])
    record_property("worst_cosine", float(worst))
    print(f"{name}: worst cosine {worst:.8f}")
    assert found.dtype == np.float32
    assert worst >= 0.9995


def write_xlm_tokenizer(folder):
    """A small tokenizer like XLM-RoBERTa's, trained on the sample."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = UnigramTrainer(
        vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(varied_texts()[:200], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    settings = {
        "tokenizer_class": "XLMRobertaTokenizer",
        "model_max_length": 64,
        "cls_token": "<s>",
        "sep_token": "</s>",
        **dict(zip(names, special, strict=True)),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer.get_vocab_size()


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def family_folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "bert":
        write_tiny_model(folder)
        settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 64}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    else:
        size = write_xlm_tokenizer(folder)
        write_tiny_model(folder, "xlm-roberta", vocab_size=size)
        (folder / "vocab.txt").unlink()
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_families_agree_with_sentence_transformers(family_folder, tmp_path, pooling, normalize):
    transformer = Transformer(str(family_folder))
    parts = [transformer, Pooling(32, pooling_mode=pooling)]
    parts += [Normalize()] if normalize else []
    reference = SentenceTransformer(modules=parts, device="cpu")
    reference.save(str(tmp_path / "saved"), create_model_card=False)
    expected = reference.encode(varied_texts())
    config = write_weights(tmp_path / "saved", tmp_path)
    assert (config.pooling, config.normalize, config.max_seq_length) == (pooling, normalize, 64)
    for encoder in ENCODERS.values():
        found = encoder(config, tmp_path / "weights").encode(varied_texts())
        assert worst_cosine(found, expected) >= LEAST_COSINE
        np.testing.assert_allclose(found, expected, atol=1e-4)
    for encoder in REDUCED.values():
        found = encoder(config, tmp_path / "weights").encode(varied_texts()[::5])
        assert worst_cosine(found, expected[::5]) >= 0.99


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_quantised_weights_are_the_same_in_float(tmp_path, family):
    """As a GPU serves an artifact in int8."""
    write_tiny_model(tmp_path / "source", family)
    config = write_weights(tmp_path / "source", tmp_path)
    tokens = OpenVinoEncoder(config, tmp_path / "weights").tokenize(["hello world", "a b c d"])
    quantize_file(config, tokens, tmp_path / "weights", tmp_path / "int8")
    expected = OpenVinoEncoder(config, tmp_path / "int8").encode(varied_texts()[:50])
    found = ENCODERS["torch"](config, tmp_path / "int8").encode(varied_texts()[:50])
    assert worst_cosine(found, expected) >= LEAST_COSINE


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_a_torch_checkpoint_gives_the_same_weights(tmp_path, kind):
    """With the family's prefix and a head, as in real checkpoints."""
    write_tiny_model(tmp_path / "safetensors")
    config = write_weights(tmp_path / "safetensors", tmp_path / "expected")
    encoder = TorchEncoder(config, tmp_path / "expected" / "weights", device="cpu")
    state = {f"bert.{name}": t.to(kind) for name, t in encoder._model.state_dict().items()}
    state["bert.embeddings.position_ids"] = torch.arange(64)
    state["cls.predictions.bias"] = torch.zeros(3)
    write_tiny_model(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "checkpoint" / "pytorch_model.bin")
    found = write_weights(tmp_path / "checkpoint", tmp_path / "found")
    if kind == torch.float32:
        files = [tmp_path / name / "weights/model.safetensors" for name in ("expected", "found")]
        assert files[0].read_bytes() == files[1].read_bytes()
    ours = OpenVinoEncoder(found, tmp_path / "found" / "weights").encode(["hello world", ""])
    theirs = encoder.encode(["hello world", ""])
    assert worst_cosine(ours, theirs) >= (LEAST_COSINE if kind == torch.float32 else 0.999)
