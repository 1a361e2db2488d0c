"""Turns public FAQ collections, from files that you have, into what `make evaluate` reads.

    python -m tools.public_collections aws Amazon_SageMaker_FAQs.csv folder
    python -m tools.public_collections stackfaq stackfaq.json folder

writes `folder/corpus.jsonl` and, where the collection has rephrasings, `folder/paraphrases.csv`.
Then: make evaluate CORPUS=folder/corpus.jsonl PARAPHRASES=folder/paraphrases.csv

- `aws`: AWS's Amazon_SageMaker_FAQs (`python -m corpus fetch`, or aws-samples/
  amazon-bedrock-workshop, 04_Chatbot/rag_data). It is asked its own questions.
- `stackfaq`: StackFAQ by Karan and Šnajder (2018), in the form of ML-Recipes/BERT-FAQ,
  data/StackFAQ. A rephrasing is answered by any answer of its thread.

None of these texts belongs into this repository.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.reader import Entry, read_corpus

Asked = list[tuple[str, str]]
Collection = tuple[list[Entry], Asked]


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(prog="python -m tools.public_collections", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("collection", choices=sorted(COLLECTIONS))
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    write(*COLLECTIONS[given.collection](given.file), given.folder)


def write(entries: list[Entry], asked: Asked, folder: Path) -> None:
    """Writes a corpus, and questions with the ids of their answers if there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(entry.canonical() for entry in entries)
    (folder / "corpus.jsonl").write_text(lines, encoding="utf-8")
    if asked:
        with (folder / "paraphrases.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("question", "id"), *asked])
    print(f"{folder}: {len(entries):,} entries, {len({text for text, _ in asked}):,} questions")


def read_aws(file: Path) -> Collection:
    """AWS's FAQ, with the line breaks around its questions removed."""
    entries = read_corpus(file)
    return [
        Entry(entry.id, tuple(each.strip() for each in entry.questions), entry.answer.strip())
        for entry in entries
    ], []


def read_stackfaq(file: Path) -> Collection:
    """A thread's question with each of its answers, and its rephrasings; `*` stands for none."""
    entries: list[Entry] = []
    asked: Asked = []
    threads = json.loads(file.read_text(encoding="utf-8"))["root"]["qapair"]
    for number, thread in enumerate(threads):
        answers = [text.strip() for text in _listed(thread["answer"]) if text and text.strip()]
        ids = [f"{number}-{place}" for place in range(len(answers))]
        question = thread["question"].strip()
        entries += [Entry(i, (question,), text) for i, text in zip(ids, answers, strict=True)]
        rephrased = (text.strip() for text in _listed(thread["rephr"]) if text)
        asked += [(text, each) for text in rephrased if text not in {"", "*"} for each in ids]
    return entries, asked


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


COLLECTIONS: dict[str, Callable[[Path], Collection]] = {
    "aws": read_aws,
    "stackfaq": read_stackfaq,
}

if __name__ == "__main__":
    main()
