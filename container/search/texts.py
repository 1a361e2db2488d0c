"""What of an entry is encoded: the texts of its views, and further ones of long answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from container.search.passages import Passages
from container.search.terms import terms
from container.search.views import SEARCHED, VIEWS, Ranking, View
from corpus.markup import plain_text
from corpus.reader import Entry

Tokenize = Callable[[Sequence[str]], list[list[int]]]
Spans = list[tuple[int, int]]


class TextSettings(Protocol):
    """What decides the texts of an entry: its views, and what stands before texts."""

    @property
    def ranking(self) -> Ranking: ...
    @property
    def query_prefix(self) -> str: ...
    @property
    def passage_prefix(self) -> str: ...


@dataclass(slots=True)
class WindowTexts:
    """The texts of some entries, as tokens, and where their vectors belong.

    Attributes:
        tokens: of each text, which is encoded once even where it is in several views.
        rows: by view, for each entry the number of the text that is its row.
        extras: by view, number of the entry and of the text of each further row.
        passages: start and end of the passages of each entry's answer without markup; none
            for an answer that the model reads in one piece.
        terms: of each entry, how often each stands in it.
    """

    tokens: list[list[int]]
    rows: dict[View, list[int]]
    extras: dict[View, list[tuple[int, int]]]
    passages: list[Spans] = field(default_factory=list)
    terms: list[Counter[str]] = field(default_factory=list)


def without_markup(entry: Entry) -> Entry:
    """The entry with plain texts, as models and lexical scores see it."""
    questions = tuple(map(plain_text, entry.questions))
    return replace(entry, questions=questions, answer=plain_text(entry.answer))


def view_texts(entry: Entry, settings: TextSettings) -> list[str]:
    """The text of each view of a plain entry; of one without a question always its answer.

    A stored question is compared with questions, so it gets the prefix of queries.
    """
    passage = settings.passage_prefix + entry.answer
    if not entry.questions:
        return [passage] * len(VIEWS[settings.ranking])
    question = entry.questions[0]
    texts: dict[View, str] = {
        "answer": passage,
        "question": settings.query_prefix + question,
        "both": f"{settings.passage_prefix}{question} {entry.answer}",
    }
    return [texts[view] for view in VIEWS[settings.ranking]]


def window_texts(
    entries: Sequence[Entry], settings: TextSettings, tokenize: Tokenize, passages: Passages
) -> WindowTexts:
    """The texts of a window of entries."""
    views, searched = VIEWS[settings.ranking], SEARCHED[settings.ranking]
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    entries = [without_markup(entry) for entry in entries]
    rows: dict[View, list[int]] = {view: [] for view in views}
    for entry in entries:
        for view, text in zip(views, view_texts(entry, settings), strict=True):
            rows[view].append(number(text))
    tokens = tokenize(list(texts))
    extras: dict[View, list[tuple[int, int]]] = {view: [] for view in views}
    spans: list[Spans] = [[] for _ in entries]
    for place, entry in enumerate(entries):
        if "question" in searched:
            for question in entry.questions[1:]:
                extras["question"].append((place, number(settings.query_prefix + question)))
        for view in searched:
            text_number = rows[view][place]
            if (view == "question" and entry.questions) or not passages.may_be_cut(
                tokens[text_number]
            ):
                continue
            before = settings.passage_prefix
            if view == "both" and entry.questions:
                before += entry.questions[0] + " "
            answer = entry.answer
            found = passages.find(before, answer)
            if view == "answer":
                spans[place] = found
            extras[view] += [(place, number(before + answer[a:b])) for a, b in found[1:]]
    tokens += tokenize(list(texts)[len(tokens) :])
    return WindowTexts(
        tokens, rows, extras, spans, [Counter(terms(lexical_text(e, searched))) for e in entries]
    )


def lexical_text(entry: Entry, searched: Sequence[View]) -> str:
    """The text of a plain entry whose words are compared: that of the views that are searched."""
    texts: list[str] = []
    if searched != ("answer",):
        texts += entry.questions
    if searched != ("question",) or not entry.questions:
        texts.append(entry.answer)
    return "\n".join(texts)


def categories(fields: Mapping[str, Any]) -> list[str]:
    """The categories of an entry, by which a request may filter: a text, or a list of texts."""
    given = fields.get("category")
    return [str(each) for each in (given if isinstance(given, list) else [given]) if each]
