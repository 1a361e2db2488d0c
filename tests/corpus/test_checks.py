"""What a person is warned of: doubtful entries, and what the model cannot read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import corpus
from corpus.model import UnknownModelError, read_model
from corpus.reader import CorpusInfo, describe

SAMPLE = Path(corpus.__file__).parent / "sample"
MINILM = read_model("all-MiniLM-L6-v2")


def examined(tmp_path: Path, rows: list[tuple[str, str]], model=MINILM) -> CorpusInfo:
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    return describe(path, "faq", model=model)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("How?", "So."), ("Why?", "Because.")], []),
        (
            [("How?", "So."), ("how", "So.")],
            ["faq:2: the question and answer of row 1 again: 'how'"],
        ),
        (
            [("How?", "So."), ("How?", "Not so.")],
            ["faq:2: the question 'How?' stands in row 1 with another answer"],
        ),
        ([("How?", "So."), ("Why?", "So.")], ["faq:2: the answer of row 1 again: 'So.'"]),
        ([("How many?", "42")], ["faq:1: the answer has no letter: '42'"]),
        ([("Which?", "<img src='x'>")], ["faq:1: the answer has no letter: \"<img src='x'>\""]),
        ([("Which?", "<img alt='This' src='x'>")], []),
        ([("What?", "N/A")], ["faq:1: the answer looks like a placeholder: 'N/A'"]),
        ([("What?", "#REF!")], ["faq:1: the answer looks like a placeholder: '#REF!'"]),
        (
            [("What?", "A cafÃ© â€“ nice.")],
            ["faq:1: the answer was read in a wrong encoding once: 'A cafÃ© â€“ nice.'"],
        ),
        (
            [("What?", "A \x1b[31mred\x1b[0m one")],
            ["faq:1: the answer has control characters: 'A \\x1b[31mred\\x1b[0m one'"],
        ),
        (
            [("One.", "Which is it?"), ("Two.", "And which that?"), ("Three.", "Which now?")],
            [
                "faq: the answers end with a question mark and the questions do not: are the"
                " columns exchanged? A header, or --map question=… --map answer=…, settles it"
            ],
        ),
        (
            [(f"How{n}?", "So.") for n in range(6)],
            [
                *(f"faq:{n}: the answer of row 1 again: 'So.'" for n in (2, 3, 4)),
                "faq: and 2 more repeated answers",
            ],
        ),
    ],
)
def test_doubtful_entries(tmp_path, rows, expected):
    assert list(examined(tmp_path, rows).warnings) == expected


def test_texts_longer_than_the_model_reads(tmp_path):
    words = "word " * 254  # and the two tokens that begin and end a text: 256
    rows = [("Fits?", words), ("Too long?", "Also " + words), (words * 2, "An answer.")]
    assert [w[: w.index(" of a text")] for w in examined(tmp_path, rows).warnings] == [
        "faq:2: the answer has 257 tokens, and all-MiniLM-L6-v2 reads 256",
        "faq:3: the question has 510 tokens, and all-MiniLM-L6-v2 reads 256",
    ]
    assert not examined(tmp_path, rows[:2], read_model("gte-base")).warnings
    shorter = examined(tmp_path, rows[:1], read_model("gte-base", max_tokens=100))
    assert "gte-base reads 100 of a text" in shorter.warnings[0]
    markup = [("Fits?", "<b>word</b> " * 254)]
    assert not examined(tmp_path, markup).warnings


def test_without_its_tokenizer_a_models_limit_is_named(tmp_path):
    info = examined(tmp_path, [("How?", "word " * 600)], read_model("multilingual-e5-base"))
    assert info.warnings == ()
    assert info.notes == (
        "1 texts may have more than the 512 tokens that multilingual-e5-base reads; its tokenizer"
        " is not on this machine (--tokenizer tokenizer.json)",
    )


def test_languages_the_model_does_not_read():
    sample = SAMPLE / "multilingual.jsonl"
    (warning,) = describe(sample, "faq", model=MINILM).warnings
    assert warning.startswith(
        "faq:1: 12 of 12 entries seem not to be in English, the language of all-MiniLM-L6-v2"
        " (German 4, Cyrillic 4, Chinese 4), such as 'Was kostet ein"
    )
    assert warning.endswith(
        "Models that read them: bge-m3, multilingual-e5-base, multilingual-e5-large"
    )
    assert describe(sample, "faq", model=read_model("bge-m3")).warnings == ()


@pytest.mark.parametrize(
    ("model", "text", "found"),
    [
        ("all-MiniLM-L6-v2", "你们几点开门？ 早上九点开门。", "Chinese 1"),
        ("all-MiniLM-L6-v2", "いつ開きますか。 九時からです。", "Japanese 1"),
        (
            "all-MiniLM-L6-v2",
            "Quand ouvrez-vous ? Nous ouvrons à neuf heures du matin.",
            "French 1",
        ),
        ("all-MiniLM-L6-v2", "How do I stop an endpoint? Delete it, and it costs nothing.", None),
        ("bge-large-zh-v1-5", "你们几点开门？ 早上九点开门。", None),
        ("bge-large-zh-v1-5", "How do I stop an endpoint? Delete it, it is easy.", "English 1"),
    ],
)
def test_scripts_and_languages_are_told_apart(tmp_path, model, text, found):
    info = examined(tmp_path, [tuple(text.split(" ", 1))], read_model(model))
    assert [found in warning for warning in info.warnings] == ([True] if found else [])


def test_models_of_the_language_are_named(tmp_path):
    rows = [("你们几点开门？", "早上九点开门。")]
    assert (
        examined(tmp_path, rows)
        .warnings[0]
        .endswith(": bge-large-zh-v1-5, bge-m3, multilingual-e5-base, multilingual-e5-large")
    )


def test_the_sample_is_read_without_a_warning():
    assert describe(SAMPLE / "amazon_sagemaker_faq.csv", model=MINILM).warnings == ()


def test_without_the_detector_latin_languages_stay_unknown(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)
    info = examined(tmp_path, [("Wann?", "Von neun bis fünf, und am Samstag bis um zwölf Uhr.")])
    assert info.warnings == ()
    assert info.notes == (
        "languages in the Latin script were not told apart: pip install py3langid",
    )


def test_a_model_is_named_in_full_or_in_short():
    full = read_model("huggingface-sentencesimilarity-bge-m3")
    assert (full.name, full.language, full.max_tokens) == ("bge-m3", "multilingual", 8192)
    with pytest.raises(UnknownModelError, match=r"unknown model 'bert'; jumpstart.lock.json has "):
        read_model("bert")
