"""Finding a model by its files, whatever the prefix holds, and reading its tensors."""

from __future__ import annotations

import json
import shutil
import tarfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from container.bake.weights import find_model, source_hashes
from container.errors import BakeError
from tests.support.container import minilm, tiny_tensors, write_tiny_model, write_weights


@pytest.fixture
def model_folder(tmp_path):
    write_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def found_tensors(folder, tmp_path):
    write_weights(folder, tmp_path)
    return load_file(tmp_path / "weights" / "model.safetensors")


def expected_tensors(config):
    return {k: v for k, v in tiny_tensors(config).items() if not k.startswith("pooler")}


def assert_same(found, expected, **tolerance):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], tensor, **tolerance)


def test_nested_folders_are_searched(tmp_path):
    config = write_tiny_model(tmp_path / "channel" / "a" / "b")
    (tmp_path / "channel" / "config.json").write_text("{}")
    assert_same(found_tensors(tmp_path / "channel", tmp_path), expected_tensors(config))


def test_an_archive_is_unpacked(tmp_path):
    config = write_tiny_model(tmp_path / "model")
    (tmp_path / "channel").mkdir()
    with tarfile.open(tmp_path / "channel" / "infer-prepack-tiny.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model", "model")
    assert_same(found_tensors(tmp_path / "channel", tmp_path), expected_tensors(config))


def test_shards_are_put_together(tmp_path):
    config = write_tiny_model(tmp_path / "model")
    tensors = tiny_tensors(config, "bert.")
    (tmp_path / "model" / "model.safetensors").unlink()
    places = {name: f"model-{n % 2}.safetensors" for n, name in enumerate(tensors)}
    for shard in set(places.values()):
        chosen = {name: tensors[name] for name, place in places.items() if place == shard}
        save_file(chosen, tmp_path / "model" / shard)
    index = tmp_path / "model" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert_same(found_tensors(tmp_path / "model", tmp_path), expected_tensors(config))
    (tmp_path / "model" / "model-1.safetensors").unlink()
    with pytest.raises(BakeError, match=r"names model-1\.safetensors, which is missing"):
        found_tensors(tmp_path / "model", tmp_path / "second")


def write_float16(file, tensors):
    save_file({name: tensor.astype(np.float16) for name, tensor in tensors.items()}, file)


def write_bfloat16(file, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = (tensor.view(np.uint32) >> 16).astype("<u2").tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    head = json.dumps(header).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + data)


@pytest.mark.parametrize(("write", "tolerance"), [(write_float16, 1e-3), (write_bfloat16, 1e-2)])
def test_half_precision_becomes_float32(tmp_path, write, tolerance):
    config = write_tiny_model(tmp_path / "model")
    write(tmp_path / "model" / "model.safetensors", tiny_tensors(config))
    found = found_tensors(tmp_path / "model", tmp_path)
    assert_same(found, expected_tensors(config), rtol=tolerance)


def test_a_torch_checkpoint_without_torch_says_what_to_do(model_folder, tmp_path):
    (model_folder / "model.safetensors").rename(model_folder / "pytorch_model.bin")
    with pytest.raises(BakeError, match="torch is not installed"):
        found_tensors(model_folder, tmp_path)


def test_without_a_model_the_files_are_listed(tmp_path):
    (tmp_path / "channel" / "x").mkdir(parents=True)
    (tmp_path / "channel" / "x" / "model.onnx").write_bytes(b"")
    with pytest.raises(BakeError, match=r"config\.json and one of .*; found: x/model\.onnx\."):
        find_model(tmp_path / "channel", tmp_path / "scratch", "tiny", None)


def test_an_empty_channel_is_reported(tmp_path):
    with pytest.raises(BakeError, match=r"found: nothing\."):
        find_model(tmp_path, tmp_path / "scratch", "tiny", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "t5"}, "family 't5'; supported are bert, roberta, xlm-roberta"),
        ({"hidden_act": "silu"}, "activation is 'silu'"),
        ({"position_embedding_type": "relative_key"}, "position embeddings are 'relative_key'"),
    ],
)
def test_a_model_that_cannot_be_run_is_refused(tmp_path, changes, words):
    write_tiny_model(tmp_path / "model", **changes)
    with pytest.raises(BakeError, match=words):
        find_model(tmp_path / "model", tmp_path / "scratch", "tiny", None)


def test_missing_tensors_are_named(tmp_path):
    config = write_tiny_model(tmp_path / "model")
    tensors = tiny_tensors(config)
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, tmp_path / "model" / "model.safetensors")
    with pytest.raises(BakeError, match=r"no tensor encoder\.layer\.1\.output\.dense\.bias"):
        found_tensors(tmp_path / "model", tmp_path)


def test_a_broken_file_is_reported(model_folder, tmp_path):
    (model_folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(BakeError, match=r"model\.safetensors of the model cannot be read"):
        found_tensors(model_folder, tmp_path)


@pytest.mark.parametrize(
    ("model_id", "pooling"),
    [
        ("huggingface-sentencesimilarity-bge-base-en", "cls"),
        ("huggingface-sentencesimilarity-multilingual-e5-base", "mean"),
        ("huggingface-sentencesimilarity-gte-base", "mean"),
        ("mine", "mean"),
    ],
)
def test_pooling_defaults_by_family_and_says_so(model_folder, tmp_path, model_id, pooling):
    model = find_model(model_folder, tmp_path, model_id, None)
    assert (model.config.pooling, model.config.normalize) == (pooling, True)
    assert model.pooling_source.startswith("default of the family ")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pooling_mode_lasttoken": True}, "chooses pooling_mode_lasttoken"),
        (
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            "chooses pooling_mode_cls_token, pooling_mode_mean_tokens",
        ),
        ({}, "chooses no pooling"),
    ],
)
def test_other_pooling_is_refused(model_folder, tmp_path, settings, words):
    (model_folder / "1_Pooling").mkdir()
    (model_folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(BakeError, match=words):
        find_model(model_folder, tmp_path, "tiny", None)


def test_a_module_that_the_encoders_lack_is_refused(model_folder, tmp_path):
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in ("Pooling", "Dense")]
    (model_folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BakeError, match=r"modules\.json lists Pooling, Dense; supported are"):
        find_model(model_folder, tmp_path, "tiny", None)


def test_a_transformer_in_a_subfolder(tmp_path):
    write_tiny_model(tmp_path / "model" / "0_Transformer")
    (tmp_path / "model" / "modules.json").write_text(
        '[{"path": "0_Transformer", "type": "x.Transformer"}, {"path": "p", "type": "x.Pooling"}]'
    )
    (tmp_path / "model" / "p").mkdir()
    (tmp_path / "model" / "p" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    model = find_model(tmp_path / "model", tmp_path, "tiny", None)
    assert (model.config.pooling, model.config.normalize) == ("max", False)
    assert model.transformer.name == "0_Transformer"


def test_the_models_own_length_and_lower_case(model_folder, tmp_path):
    file = model_folder / "sentence_bert_config.json"
    file.write_text('{"max_seq_length": 20, "do_lower_case": true}')
    config = find_model(model_folder, tmp_path, "tiny", None).config
    assert (config.max_seq_length, config.lower_case) == (20, True)
    assert find_model(model_folder, tmp_path, "tiny", 10).config.max_seq_length == 10


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_the_tokenizers_length_fits_the_positions(tmp_path, family):
    """RoBERTa has two more positions but counts from its padding id + 1."""
    write_tiny_model(tmp_path / "model", family)
    (tmp_path / "model" / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    assert find_model(tmp_path / "model", tmp_path, "x", None).config.max_seq_length == 64
    with pytest.raises(BakeError, match="max_seq_length is 65; this model takes 3 to 64 tokens"):
        find_model(tmp_path / "model", tmp_path, "x", 65)


def test_a_tokenizer_from_vocab_txt_is_the_real_one(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(minilm(), copy, ignore=shutil.ignore_patterns("tokenizer.json"))
    write_weights(copy, tmp_path)
    built = Tokenizer.from_file(str(tmp_path / "weights" / "tokenizer.json"))
    real = Tokenizer.from_file(str(minilm() / "tokenizer.json"))
    real.no_padding()
    real.no_truncation()
    for text in (
        "Hello, wörld! 🎉",
        "Привет 如何 ﬁ",
        "",
        "[SEP] un##known",
        "x" * 300,
        "a\u00a0b\x00",
    ):
        assert built.encode(text).ids == real.encode(text).ids


def test_tokenizer_config_decides(model_folder, tmp_path):
    (model_folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    write_weights(model_folder, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "weights" / "tokenizer.json"))
    assert tokenizer.encode("A").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert tokenizer.encode("a").tokens == ["[CLS]", "a", "[SEP]"]


def test_a_missing_tokenizer_is_reported(model_folder, tmp_path):
    (model_folder / "vocab.txt").unlink()
    with pytest.raises(BakeError, match=r"neither tokenizer\.json nor, for BERT, vocab\.txt"):
        found_tensors(model_folder, tmp_path)


def test_weight_files_are_hashed_as_they_were_found(tmp_path):
    model = find_model(minilm(), tmp_path, "all-MiniLM-L6-v2", None)
    assert source_hashes(model) == {
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    }
