"""Damaged artifacts: whatever can be opened must answer as the undamaged one does.

Each is opened in a process of its own, since a shortened file under memory-mapped arrays ends one.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.attack.campaign import Part
from tests.attack.lab import BAKE, artifact

# For one artifact, on a busy machine.
_SECONDS = 120.0
# Code is run, not read: who can change it can do anything.
_CODE = "code"

Damage = Callable[[Path, Path, Random], None]


def attack(part: Part, folder: Path, step: int = 1) -> None:
    """Damages each file in each way, then what the files hold: all forms, or one of `step`."""
    whole = artifact(folder)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["container.serving.service", "container.encoder.cpu"])
    kind, wanted = _try(processes, whole)
    assert kind == "answers", wanted
    files = sorted(
        path.relative_to(whole)
        for path in whole.rglob("*")
        if path.is_file() and path.relative_to(whole).parts[0] != _CODE
    )
    forms = [(damage, file) for damage in _ANY for file in files]
    forms += [(damage, Path(name)) for damage, name in _MEANINGFUL]
    forms = forms[::step]
    copy = folder / "damaged"
    for case in part.numbers(len(forms)):
        damage, file = forms[case]
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        damage(copy / file, copy, part.random(case))
        outcome, what = judge(*_try(processes, copy), wanted)
        part.statuses[outcome] += 1
        for each in what:
            part.find(case, f"{file}, {damage.__name__.strip('_')}: {each}")


def judge(kind: str, found: Any, wanted: Any) -> tuple[str, list[str]]:
    """What became of an artifact, and what is wrong with that.

    Args:
        kind: "refused" to open; "answers", in `found`; "failed" to answer; or "ended", without a
            word, before it had opened ("loading") or after.
    """
    if kind == "answers":
        if found == wanted:
            return "harmless", []
        return "served wrong", [f"other answers are served: {_difference(found, wanted)}"]
    if kind == "refused" or (kind == "ended" and found == "loading"):
        return "refused", []
    return kind, [f"opened, and then: {found}"]


def _difference(found: Any, wanted: Any) -> str:
    for question, answer in wanted.items():
        if found.get(question) != answer:
            return f"{question[:100]} -> {str(found.get(question))[:200]}"
    return "more answers"


def _try(processes: Any, model: Path) -> tuple[str, Any]:
    ours, theirs = processes.Pipe()
    process = processes.Process(target=open_and_ask, args=(model, theirs), daemon=True)
    process.start()
    theirs.close()
    kind, found = "ended", "loading"
    try:
        while kind not in ("refused", "answers", "failed"):
            if not ours.poll(_SECONDS):
                kind, found = "failed", f"nothing for {_SECONDS:.0f} s"
                break
            word, value = ours.recv()
            if word == "opened":
                found = "it ended"
            else:
                kind, found = word, value
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
    return kind, found


def open_and_ask(model: Path, said: Connection) -> None:
    """Opens an artifact, as the server does, and sends what it answers, by question."""
    from container.serving.service import Service

    try:
        service = Service.open(model, BAKE)
    except Exception as error:  # `model_fn` ends the server at any
        said.send(("refused", f"{type(error).__name__}: {error}"))
        return
    said.send(("opened", None))
    try:
        texts = [f"what is {letter} hello" for letter in "abcdefgh"] + ["answer 7 of", "world"]
        questions = [
            {"mode": "search", "queries": texts, "top_k": 40},
            {"mode": "search", "queries": texts, "top_k": 5, "lexical": False},
            {"mode": "search", "queries": texts, "top_k": 40, "category": ["even"]},
            {"mode": "nn_train_data", "queries": texts, "top_k": 40, "return_text": True},
            {"mode": "nn_corpus", "queries": texts, "corpus": texts, "top_k": 3},
            texts,
        ]
        answers = {
            json.dumps(each): json.loads(service.answer(json.dumps(each), "application/json"))
            for each in questions
        }
    except Exception as error:
        said.send(("failed", f"{type(error).__name__}: {error}"))
        return
    said.send(("answers", answers))


def _lost(file: Path, _model: Path, _random: Random) -> None:
    file.unlink()


def _emptied(file: Path, _model: Path, _random: Random) -> None:
    file.write_bytes(b"")


def _cut_off(file: Path, _model: Path, random: Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: random.randrange(len(content))])


def _longer(file: Path, _model: Path, random: Random) -> None:
    file.write_bytes(file.read_bytes() + random.randbytes(random.randint(1, 5000)))


def _a_bit_flipped(file: Path, _model: Path, random: Random) -> None:
    content = bytearray(file.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def _zeroed(file: Path, _model: Path, random: Random) -> None:
    content = bytearray(file.read_bytes())
    at = random.randrange(len(content))
    length = min(len(content) - at, 512)
    content[at : at + length] = bytes(length)
    file.write_bytes(content)


def _swapped(file: Path, model: Path, random: Random) -> None:
    others = [each for each in sorted(file.parent.iterdir()) if each.is_file() and each != file]
    if not others:
        others = [each for each in sorted(model.rglob("*.npy")) if each != file]
    other = random.choice(others)
    ours = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(ours)


_ANY: tuple[Damage, ...] = (_lost, _emptied, _cut_off, _longer, _a_bit_flipped, _zeroed, _swapped)


def _numbers(change: Callable[[Any, Random], Any], name: str) -> Damage:
    """Changes an array, whose file stays well-formed."""

    def damage(file: Path, _model: Path, random: Random) -> None:
        np.save(file, change(np.load(file), random))

    damage.__name__ = name
    return damage


def _put_nan(array: Any, random: Random) -> Any:
    array[..., random.randrange(array.shape[-1])] = np.nan
    return array


def _manifest(change: Callable[[dict[str, Any]], object], name: str) -> Damage:
    def damage(file: Path, _model: Path, _random: Random) -> None:
        manifest = json.loads(file.read_text("utf-8"))
        change(manifest)
        file.write_text(json.dumps(manifest), "utf-8")

    damage.__name__ = name
    return damage


def _another_text(file: Path, _model: Path, _random: Random) -> None:
    file.write_bytes(file.read_bytes().replace(b"answer 7 ", b"answer 8 "))


_VECTORS, _ENTRIES, _MANIFEST = "index/embeddings.npy", "index/entries.jsonl", "bake-manifest.json"
_MEANINGFUL: tuple[tuple[Damage, str], ...] = (
    (_numbers(_put_nan, "NaN"), _VECTORS),
    (_numbers(lambda array, _: array[:, ::-1], "rows turned round"), _VECTORS),
    (_numbers(lambda array, _: array * 0, "zeros"), _VECTORS),
    (_numbers(lambda array, _: array * 3, "scaled"), _VECTORS),
    (_numbers(lambda array, _: -array, "negated"), _VECTORS),
    (_numbers(lambda array, _: array[::-1], "turned round"), "index/same_answer.npy"),
    (_numbers(lambda array, _: array[::-1], "turned round"), "index/offsets.npy"),
    (_numbers(lambda array, _: array * 2, "doubled"), "index/term_idf.npy"),
    (_numbers(lambda array, _: array[::-1], "turned round"), "index/category_entries.npy"),
    (_another_text, _ENTRIES),
    (_manifest(lambda m: m.update(bake_id="other"), "another bake"), _MANIFEST),
    (_manifest(lambda m: m.update(ranking="answer"), "another ranking"), _MANIFEST),
    (_manifest(lambda m: m["corpus"].update(entries=39), "fewer entries"), _MANIFEST),
    (_manifest(lambda m: m["model"].update(pooling="cls"), "another pooling"), _MANIFEST),
    (_manifest(lambda m: m["model"].update(max_seq_length=3), "shorter texts"), _MANIFEST),
    (_manifest(lambda m: m["model"].update(query_prefix="a "), "a prefix"), _MANIFEST),
    (_manifest(lambda m: m.pop("files"), "no hashes"), _MANIFEST),
    (_manifest(lambda m: m["files"].clear(), "empty hashes"), _MANIFEST),
    (_manifest(lambda m: m.pop("sha256"), "no hash of its own"), _MANIFEST),
)
