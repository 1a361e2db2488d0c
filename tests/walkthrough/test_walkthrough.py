"""`make walkthrough` on a local AWS of its own, and what the notebook then shows."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.texts import NEAREST_CORPUS, NEAREST_QUERIES
from commands.walkthrough import POLICY, read_policy
from container.encoder.load import open_encoder
from local_aws.iam.policies import as_list
from tests.support.container import minilm, write_weights
from tests.support.local_logs import started

ROOT = Path(__file__).parents[2]
Output = Callable[[str], Any]
Embed = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of the local AWS that the command started, and stopped once it was done."""
    folder = tmp_path_factory.mktemp("walkthrough") / "state"
    started.append(folder / "local_aws.log")
    done = subprocess.run(
        [sys.executable, "-m", "commands", "walkthrough", "--output", str(folder.parent)],
        cwd=ROOT,
        env={**os.environ, "LOCAL_STATE": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    print(done.stdout)  # for the report of a failure, and for `pytest -s`
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="module")
def cells(state: Path) -> dict[str, dict[str, Any]]:
    """The cells of the notebook that was run, by their ids."""
    notebook = json.loads((state.parent / "walkthrough.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: cell for cell in notebook["cells"]}


@pytest.fixture(scope="module")
def output(cells: dict[str, dict[str, Any]]) -> Output:
    """The value that a cell ends with."""

    def read(cell: str) -> Any:
        (result,) = (o for o in cells[cell]["outputs"] if o["output_type"] == "execute_result")
        return ast.literal_eval("".join(result["data"]["text/plain"]))

    return read


@pytest.fixture(scope="module")
def embed(tmp_path_factory: pytest.TempPathFactory) -> Embed:
    """The vectors of texts, from the model itself."""
    folder = tmp_path_factory.mktemp("model")
    config = write_weights(minilm(), folder)
    encoder = open_encoder(folder / "weights", config)
    return lambda *texts: encoder.encode(texts)


def test_every_cell_ran_without_a_warning(cells) -> None:
    code = [cell for cell in cells.values() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    streams = [o for cell in code for o in cell["outputs"] if o["output_type"] == "stream"]
    assert {stream["name"] for stream in streams} <= {"stdout"}, streams


def test_the_first_cell_says_where_the_outputs_are_from(cells) -> None:
    text = "".join(cells["title"]["source"])
    assert re.search(r"^\*Outputs: from this project's local AWS, stage `local`, on ", text, re.M)


def test_the_endpoint_is_the_deployed_one(output: Output) -> None:
    assert output("endpoints") == ["faq-search-local-c6i-xlarge", "faq-search-local-g5-2xlarge"]
    assert output("endpoint")["status"] == "InService"
    assert output("endpoint")["corpus entries"] == 203


def test_the_embeddings_are_the_models(output: Output, embed: Embed) -> None:
    (expected,) = embed("How cute your dog is!")
    assert output("embeddings") == pytest.approx(expected[:5].tolist(), abs=1e-5)
    topics = output("topics")
    assert topics["within a topic"] > 0.6 > 0.2 > topics["between topics"]


def test_the_heat_map_is_a_picture(cells) -> None:
    (picture,) = (o["data"] for o in cells["heatmap"]["outputs"] if "image/png" in o["data"])
    assert len(picture["image/png"]) < 100_000  # it is committed


def test_neighbours_are_ranked_by_the_models_cosines(output: Output, embed: Embed) -> None:
    expected = embed(*NEAREST_QUERIES) @ embed(*NEAREST_CORPUS).T
    for hits, cosines in zip(output("nearest"), expected, strict=True):
        assert [hit["corpus_id"] for hit in hits] == np.argsort(-cosines).tolist()
        assert [hit["score"] for hit in hits] == pytest.approx(sorted(cosines)[::-1], abs=1e-5)


def test_latency_was_measured(output: Output) -> None:
    assert all(0.5 < milliseconds < 5000 for milliseconds in output("latency").values())


def test_the_job_went_through_every_stage(output: Output) -> None:
    stages = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert output("train") == stages
    assert output("deploy") == "InService"


def test_the_trained_corpus_answers_its_questions(cells, output: Output) -> None:
    (table,) = (o["data"]["text/plain"] for o in cells["query"]["outputs"])
    assert "R kernels are available in notebooks" in "".join(table).splitlines()[-3]
    accuracy = output("accuracy")
    assert accuracy["top 1"] > 0.4
    assert accuracy["top 3"] > 0.6


def test_batch_and_endpoint_agree(output: Output) -> None:
    results = output("results")
    assert results["lines"] == 203
    assert results["ids as given"] is True
    assert results["largest difference to the endpoint"] < 1e-5


def test_nothing_is_left_but_the_stage(output: Output) -> None:
    left = output("left")
    assert left.pop("the stage's endpoints") == ["InService", "InService"]
    assert left == {"endpoints": [], "configurations": [], "models": [], "objects": []}


def test_the_role_needs_all_that_it_may_do(state: Path) -> None:
    decisions = [
        json.loads(line) for line in (state / "iam/decisions.jsonl").read_text().splitlines()
    ]
    mine = [each for each in decisions if each.get("role") == "walkthrough"]
    assert [each for each in mine if not each["allowed"]] == []
    granted = {
        action
        for statement in read_policy(POLICY, "local", "0", "us-east-1")["Statement"]
        for action in as_list(statement["Action"])
    }
    assert granted - {each["action"] for each in mine} == set()
