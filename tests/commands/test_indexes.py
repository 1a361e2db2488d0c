"""Versions of a stage whose corpus is in an index of S3 Vectors: listed, gone back to, pruned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from commands import index_load
from commands.corpus_diff import corpus_diff
from commands.errors import CommandError
from commands.prune import judge, remove
from commands.rollback import choice_of, how_to_keep, prepare
from commands.target import Choice
from commands.versions import list_versions
from contract.index_objects import WANTED_KEY
from contract.vector_index import VectorIndex, index_configuration, index_id
from stage.bake_inputs import bake_inputs, index_request
from stage.settings import CONFIG_DIRECTORY
from tests.support.synthesis import changed
from tests.support.versions import BUCKET, AwsStage, bake

SETTINGS = changed("dev", search={"engine": "s3_vectors"})
ARTIFACT = bake_inputs(SETTINGS).bake_id
LATER = datetime.now(UTC) + timedelta(days=2)


class IndexStage(AwsStage):
    """Stage dev with indexes."""

    @classmethod
    def make(cls, **_: Any) -> IndexStage:  # type: ignore[override]
        made = super().make()
        made.settings = SETTINGS
        made.add_stack("Index", IndexWorkflowArn=WORKFLOW)
        made.client("s3vectors").create_vector_bucket(vectorBucketName="faq-search-dev")
        made.add_bake(ARTIFACT, corpus_sha256=None)
        return made

    def add_index(self, corpus: str, artifact: str = ARTIFACT) -> str:
        """Everything that a complete index leaves; returns its id."""
        name = index_id(artifact, corpus * 64, "hybrid")
        self.client("s3vectors").create_index(
            vectorBucketName="faq-search-dev", indexName=name, **index_configuration(384)
        )
        marker = {
            "index_id": name,
            "bake_id": artifact,
            "ranking": "hybrid",
            "dimension": 384,
            "corpus_sha256": corpus * 64,
            "corpus_file": "corpus.jsonl",
            "corpus_key": f"indexes/{name}/corpus/corpus.jsonl",
            "corpus_version_id": "v1",
            "entries": 2,
            "vectors": 3,
        }
        self.put(f"indexes/{name}/corpus/corpus.jsonl", b'{"question":"Q?","answer":"A."}\n')
        self.put(f"indexes/{name}/index.json", json.dumps(marker).encode())
        return name

    def search(self, corpus: str, artifact: str = ARTIFACT) -> str:
        """The parameter, as the loading writes it."""
        name = index_id(artifact, corpus * 64, "hybrid")
        value = VectorIndex(
            name, "faq-search-dev", artifact, corpus * 64, "hybrid", 384, entries=2, vectors=3
        )
        self.client("ssm").put_parameter(
            Name=SETTINGS.names.index_parameter,
            Value=value.to_json(),
            Type="String",
            Overwrite=True,
        )
        return name

    def want(self, name: str, **progress: Any) -> None:
        self.put(WANTED_KEY, json.dumps({"index_id": name}).encode())
        self.put(f"indexes/{name}/load.json", json.dumps(progress).encode())


WORKFLOW = "arn:aws:states:us-east-1:123456789012:stateMachine:faq-search-dev-index"


@pytest.fixture
def dev() -> Iterator[IndexStage]:
    """Indexes of the corpora 1, 2 and 3, searched in that order."""
    with mock_aws():
        dev = IndexStage.make()
        for corpus in "123":
            dev.add_index(corpus)
            dev.search(corpus)
        dev.deploy(ARTIFACT, corpus_sha256="")
        yield dev


def id_of(corpus: str) -> str:
    return index_id(ARTIFACT, corpus * 64, "hybrid")


class TestVersions:
    def test_are_indexes(self, dev):
        listed = list_versions(dev.stage)
        assert [each.version.bake_id for each in listed] == [id_of(c) for c in "321"]
        assert [(each.entries, each.artifact, each.deployed) for each in listed] == [
            (2, True, True),
            (2, True, False),
            (2, True, False),
        ]
        assert listed[0].version.deployment.model_id == SETTINGS.model.id

    def test_without_their_vectors_or_their_artifact_are_gone(self, dev):
        dev.client("s3vectors").delete_index(
            vectorBucketName="faq-search-dev", indexName=id_of("1")
        )
        dev.add_index("4", bake("a"))
        dev.search("4", bake("a"))
        assert [each.artifact for each in list_versions(dev.stage)] == [False, True, True, False]


class TestRollback:
    def test_names_the_copy_of_the_corpus_and_reads_nothing(self, dev):
        earlier = prepare(dev.stage, id_of("1")[:12])
        assert earlier.corpus == (
            f"s3://{BUCKET}/indexes/{id_of('1')}/corpus/corpus.jsonl?versionId=v1&sha256={'1' * 64}"
        )
        assert earlier.reuse is None  # the settings make the same artifact
        assert f'sha256 = "{"1" * 64}"' in how_to_keep("dev", earlier)

    def test_leads_to_the_same_index(self, dev, tmp_path):
        text = (CONFIG_DIRECTORY / "dev.toml").read_text(encoding="utf-8")
        (tmp_path / "dev.toml").write_text(f'{text}\n[search]\nengine = "s3_vectors"\n')
        earlier = prepare(dev.stage, id_of("1"))
        choice = choice_of(Choice(SETTINGS, {"config": str(tmp_path)}), earlier)
        assert index_request(choice.settings)["index_id"] == id_of("1")

    def test_with_its_own_artifact(self, dev):
        dev.add_bake(bake("a"))
        dev.add_index("4", bake("a"))
        earlier = prepare(dev.stage, index_id(bake("a"), "4" * 64, "hybrid"))
        assert earlier.reuse == bake("a")
        assert f'reuse = "{bake("a")}"' in how_to_keep("dev", earlier)

    def test_to_what_is_searched_is_refused(self, dev):
        with pytest.raises(CommandError, match="is the one that is deployed now"):
            prepare(dev.stage, id_of("3"))


class TestPrune:
    def test_keeps_the_last_few_and_the_artifacts_that_they_need(self, dev):
        dev.add_bake(bake("a"))
        dev.add_bake(bake("c"))
        dev.add_index("4", bake("a"))
        dev.search("4", bake("a"))
        dev.search("3")
        dev.want(id_of("3"))
        found = {each.bake_id: each.reason for each in judge(dev.stage, 2, LATER)}
        assert found == {
            id_of("3"): "searched now",
            index_id(bake("a"), "4" * 64, "hybrid"): "among the last 2 deployed",
            id_of("2"): "",
            id_of("1"): "",
            ARTIFACT: "deployed now",
            bake("a"): "an index that is kept needs it",
            bake("c"): "",
        }

    def test_keeps_what_is_being_loaded(self, dev):
        dev.want(id_of("1"))
        found = {each.bake_id: each.reason for each in judge(dev.stage, 1, LATER)}
        assert found[id_of("1")] == "wanted by the last deployment"

    def test_removes_the_vectors_too(self, dev):
        _, refused = remove(dev.stage, judge(dev.stage, 1, LATER))
        assert refused == []
        listed = dev.client("s3vectors").list_indexes(vectorBucketName="faq-search-dev")
        assert [each["indexName"] for each in listed["indexes"]] == [id_of("3")]
        left = {key for key in dev.stored_keys() if key.startswith("indexes/")}
        assert all(id_of("3") in key for key in left)
        assert left


class TestProgress:
    def test_of_an_index_that_is_loaded(self, dev, capsys):
        dev.want(id_of("4"), run="b-1", parts=3, entries=70)
        dev.put(f"indexes/{id_of('4')}/parts/b-1/00000-30-33", b"{}")
        dev.put(f"indexes/{id_of('4')}/parts/b-1/00002-20-22", b"{}")
        index_load.show(dev.stage.target, SETTINGS)
        printed = " ".join(capsys.readouterr().out.split())
        assert f"index searched: {id_of('3')}" in printed
        assert "being loaded: 50 of 70 entries, 2 of 3 parts" in printed

    def test_of_one_whose_corpus_is_encoded(self, dev):
        dev.want(id_of("4"), run="b-1", parts=None)
        assert "is being encoded" in str(dev.stage.indexes.load())

    def test_a_loading_that_failed_goes_on(self, dev, capsys):
        dev.client("stepfunctions").create_state_machine(
            name="faq-search-dev-index",
            definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::123456789012:role/Index",
        )
        dev.want(id_of("4"), error="Line 3 of the corpus cannot be used.")
        assert "not loaded: Line 3" in str(dev.stage.indexes.load())
        index_load.go_on(dev.stage.target, SETTINGS)
        started = dev.client("stepfunctions").list_executions(stateMachineArn=WORKFLOW)
        assert [each["name"] for each in started["executions"]] == [f"{id_of('4')}-1"]
        assert "goes on where it stopped" in " ".join(capsys.readouterr().out.split())

    def test_nothing_is_said_of_one_that_is_searched(self, dev, capsys):
        dev.want(id_of("3"))
        index_load.go_on(dev.stage.target, SETTINGS)
        assert capsys.readouterr().out == ""


class TestDiff:
    def test_says_what_is_encoded(self, dev):
        report = corpus_diff(dev.stage).text()
        assert "Batch transform encodes the corpus" in report
        assert "changed too" not in report

    def test_of_an_index_that_is_there(self, dev):
        settings = SETTINGS.model_copy(update={"corpus_sha256": "2" * 64})
        stage = dev.stage.__class__(settings, dev.stage.target)
        assert "exists already and is switched to" in corpus_diff(stage).text()

    def test_of_the_same_corpus(self, dev):
        settings = SETTINGS.model_copy(update={"corpus_sha256": "3" * 64})
        stage = dev.stage.__class__(settings, dev.stage.target)
        assert "Nothing is encoded again." in corpus_diff(stage).text()
