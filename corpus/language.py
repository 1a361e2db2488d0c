"""In which languages the entries of a corpus are, for models that do not read all of them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from corpus.errors import Place, Problems, shown
from corpus.lines import script_of
from corpus.model import Model

_SURE = 0.9
_LETTERS = 40
"""Letters from which an entry's language is found by itself; shorter ones are judged together."""
_LOOKED_AT = 200
_FIRST, _EVERY = 1000, 50
"""The first entries are looked at, and then every so many."""
_LEAST_SHARE = 0.05
_OF_SCRIPT = {"CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko"}
_NAMES = {
    "en": "English", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "de": "German",
    "fr": "French", "es": "Spanish", "pt": "Portuguese", "it": "Italian", "nl": "Dutch",
    "pl": "Polish", "cs": "Czech", "sk": "Slovak", "sl": "Slovenian", "hr": "Croatian",
    "ro": "Romanian", "hu": "Hungarian", "fi": "Finnish", "sv": "Swedish", "no": "Norwegian",
    "da": "Danish", "is": "Icelandic", "et": "Estonian", "lv": "Latvian", "lt": "Lithuanian",
    "tr": "Turkish", "vi": "Vietnamese", "id": "Indonesian", "ms": "Malay", "tl": "Tagalog",
    "ca": "Catalan", "eu": "Basque", "gl": "Galician", "sq": "Albanian", "sw": "Swahili",
}  # fmt: skip
# What the detector takes for another language and is English, or none.
_AS_ENGLISH = {"pcm": "en", "zxx": None, "und": None}


class Languages:
    """Counts the languages of entries and warns of those that the model does not read.

    Scripts are seen from the letters; languages in the Latin one are told apart by py3langid.
    """

    def __init__(self, problems: Problems, model: Model) -> None:
        self._problems = problems
        self._model = model
        self._seen = self._looked = 0
        self._found: Counter[str] = Counter()
        self._short: list[str] = []
        self._first: tuple[Place, str] | None = None
        self._first_short: tuple[Place, str] | None = None
        self._identifier: Any = None
        self._without_detector = False

    def add(self, place: Place, text: str) -> None:
        """Looks at an entry's text without markup."""
        self._seen += 1
        if self._model.language == "multilingual" or (self._seen > _FIRST and self._seen % _EVERY):
            return
        self._looked += 1
        letters = list(islice(filter(str.isalpha, text), _LOOKED_AT))
        scripts = Counter("LATIN" if c.isascii() else script_of(c) for c in letters)
        if not scripts:
            return
        script = scripts.most_common(1)[0][0]
        if script == "CJK" and (scripts["HIRAGANA"] or scripts["KATAKANA"]):
            script = "HIRAGANA"
        if script != "LATIN":
            self._count(place, text, _OF_SCRIPT.get(script, script.capitalize()))
        elif len(letters) >= _LETTERS:
            self._count(place, text, self._detected(text))
        else:
            self._first_short = self._first_short or (place, text)
            self._short.append(text)

    def finish(self) -> None:
        """Warns, if there is reason to."""
        joined = " ".join(self._short[:500])
        if sum(c.isalpha() for c in joined) >= _LETTERS // 2 and self._first_short:
            language = self._detected(joined)
            if language:
                self._count(*self._first_short, language)
                self._found[language] += len(self._short) - 1
        if self._without_detector:
            self._problems.notes.append(
                "languages in the Latin script were not told apart: pip install py3langid"
            )
        foreign = Counter({k: n for k, n in self._found.items() if k != self._model.language})
        count = sum(foreign.values())
        if not self._first or count < _LEAST_SHARE * self._looked:
            return
        only = foreign.keys() == {self._other} and self._model.others.get(self._other or "")
        models = (*(only or ()), *self._model.others.get("multilingual", ()))
        listed = ", ".join(f"{_NAMES.get(k, k)} {n:,}" for k, n in foreign.most_common(5))
        place, text = self._first
        self._problems.warn(
            "languages",
            place,
            f"{count:,} of {self._looked:,} entries seem not to be in"
            f" {_NAMES[self._model.language]}, the language of {self._model.name} ({listed}), such"
            f" as {shown(text)}. Models that read them: {', '.join(models)}",
        )

    @property
    def _other(self) -> str | None:
        return {"en": "zh", "zh": "en"}.get(self._model.language)

    def _count(self, place: Place, text: str, language: str | None) -> None:
        if language is None:
            return
        self._found[language] += 1
        if language != self._model.language and self._first is None:
            self._first = (place, text)

    def _detected(self, text: str) -> str | None:
        """The language of a Latin text; None if that is not sure."""
        if self._identifier is None:
            try:
                from py3langid import langid  # noqa: PLC0415 - takes a second to load
            except ImportError:
                self._without_detector = True
                return None
            self._identifier = langid.LanguageIdentifier.from_model_file(
                langid.MODEL_FILE, norm_probs=True
            )
        language, probability = self._identifier.classify(text[:2000])
        if probability < _SURE:
            return None
        return _AS_ENGLISH.get(language, language)
