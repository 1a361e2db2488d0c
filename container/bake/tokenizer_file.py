"""Writes the tokenizer.json that the encoders read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, processors
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from container.errors import BakeError

BERT_TOKENS = {
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}


def write_tokenizer(transformer: Path, root: Path, target: Path) -> None:
    """Writes `target` from the model's tokenizer.json or, for BERT, its vocab.txt.

    As in transformers, tokenizer_config.json decides about lower case, accents and Chinese
    characters. Raises BakeError when the model has neither file.
    """
    folders = (transformer, root)
    settings = _settings(folders)
    file = _first(folders, "tokenizer.json")
    if file is not None:
        tokenizer = Tokenizer.from_file(str(file))
        if isinstance(tokenizer.normalizer, BertNormalizer) and settings is not None:
            tokenizer.normalizer = _normalizer(settings)
    else:
        vocabulary = _first(folders, "vocab.txt")
        if vocabulary is None:
            found = ", ".join(sorted(path.name for path in transformer.iterdir()))
            raise BakeError(
                f"The model has neither tokenizer.json nor, for BERT, vocab.txt; found {found}."
            )
        tokenizer = _from_vocabulary(vocabulary, settings or {})
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(target))


def _settings(folders: tuple[Path, ...]) -> dict[str, Any] | None:
    file = _first(folders, "tokenizer_config.json")
    if file is None:
        return None
    settings: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return settings


def _first(folders: tuple[Path, ...], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _normalizer(settings: dict[str, Any]) -> BertNormalizer:
    return BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )


def _from_vocabulary(file: Path, settings: dict[str, Any]) -> Tokenizer:
    lines = file.read_text("utf-8").split("\n")
    vocabulary = {line: number for number, line in enumerate(lines) if line}
    tokens = {
        name: settings[name] if isinstance(settings.get(name), str) else default
        for name, default in BERT_TOKENS.items()
    }
    missing = [token for token in tokens.values() if token not in vocabulary]
    if missing:
        raise BakeError(f"vocab.txt of the model has no {', '.join(missing)}.")
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=tokens["unk_token"]))
    tokenizer.normalizer = _normalizer(settings)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.add_special_tokens(list(tokens.values()))
    first, last = tokens["cls_token"], tokens["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    return tokenizer
