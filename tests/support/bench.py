"""For the bench's tests: a contender, and samples with fixed figures."""

from __future__ import annotations

from bench.measure import Answer, Samples


def contender(word: str) -> dict[str, object]:
    """Runs in its own process."""

    def fail() -> None:
        raise ValueError(f"no {word} left")

    def say() -> dict[str, str]:
        print("a library talks")
        return {"word": word}

    return {"say": say, "fail": fail, "array": lambda: [[1.0, 2.0]]}


def samples(*rounds: float | tuple[float, ...], peak_bytes: int = 0) -> Samples:
    """Samples of these rounds' seconds."""
    found = Samples()
    for one in rounds:
        found.add(Answer(one if isinstance(one, tuple) else (one,), None, peak_bytes))
    return found
