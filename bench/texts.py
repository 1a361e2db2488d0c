"""The texts to measure with: the walk-through's own if known, else similar ones."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Final

SAMPLE: Final = Path(__file__).parent.parent / "corpus/sample/amazon_sagemaker_faq.csv"

# The walk-through's question to the baked corpus.
SHORT_QUESTION: Final = "Is R supported with Amazon SageMaker?"

# Nine sentences in the walk-through's three topics, each topic said in three ways. The first two
# are its own; the wording of the others is unknown.
TOPICS: Final = ("pets", "cities", "colour")
NINE_SENTENCES: Final = (
    "How cute your dog is!",
    "Your dog is so cute.",
    "What a lovely little dog you have!",
    "I have lived in Vienna for years.",
    "Vienna is the city where I live.",
    "My home is in Vienna.",
    "Which colour do you like best?",
    "What is your favourite colour?",
    "Is blue the colour you like most?",
)

# The walk-through's example of nearest neighbours; query i is nearest to entry i.
NEAREST_CORPUS: Final = (
    "Amazon SageMaker is a fully managed service to prepare data and build, train, and deploy "
    "machine learning (ML) models for any use case with fully managed infrastructure, tools, and "
    "workflows.",
    "Amazon SageMaker stores code in ML storage volumes, secured by security groups and "
    "optionally encrypted at rest.",
    "Amazon SageMaker provides a full end-to-end workflow, but you can continue to use your "
    "existing tools with SageMaker. You can easily transfer the results of each stage in and out "
    "of SageMaker as your business requirements dictate.",
)
NEAREST_QUERIES: Final = (
    "What is Amazon SageMaker?",
    "How does Amazon SageMaker secure my code?",
    "What if I have my own notebook, training, or hosting environment?",
)


def mixed_texts(count: int, *, most_sentences: int = 12) -> list[str]:
    """Texts from the sample corpus, a question to a page long; always the same.

    At least half of them have one or two sentences, like questions and short answers.
    """
    with SAMPLE.open(encoding="utf-8", newline="") as stream:
        sentences = [
            sentence
            for question, answer in csv.reader(stream)
            for sentence in (question, *answer.split(". "))
        ]
    chosen = random.Random(7)  # noqa: S311 - the same texts each time
    lengths = [min(2, most_sentences), most_sentences]
    return [
        " ".join(chosen.choices(sentences, k=chosen.randint(1, chosen.choice(lengths))))
        for _ in range(count)
    ]
