"""The versions there were, and back to one of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from moto import mock_aws
from rich.console import Console

from commands import rollback
from commands.__main__ import main
from commands.errors import CommandError
from commands.rollback import choice_of, how_to_keep, prepare
from commands.target import Choice
from commands.versions import as_table, list_versions
from stage.settings import SettingsError
from tests.support.versions import BUCKET, AwsStage, bake

CORPUS = b"Earlier?,Earlier.\n"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rollback, "BUILD_DIRECTORY", tmp_path / ".build")
    with mock_aws():
        dev = AwsStage.make()
        for digit in "abc":
            dev.add_bake(bake(digit), CORPUS)
        dev.deploy(bake("a"), CORPUS)
        dev.deploy(bake("b"))
        yield dev


class TestList:
    def test_newest_first_with_what_is_left_of_each(self, dev):
        dev.deploy(bake("a"), CORPUS)
        dev.client("s3").delete_object(Bucket=BUCKET, Key=f"bakes/{bake('b')}/bake.json")
        listed = list_versions(dev.stage)
        assert [(v.version.bake_id[0], v.deployed, v.artifact, v.entries) for v in listed] == [
            ("a", True, True, 1),
            ("b", False, False, None),
            ("a", False, True, 1),
        ]
        assert [v.version.number for v in listed] == [3, 2, 1]

    def test_an_artifact_that_is_gone(self, dev):
        key = f"bakes/{bake('a')}/job-1/output/model.tar.gz"
        dev.client("s3").delete_object(Bucket=BUCKET, Key=key)
        assert [v.artifact for v in list_versions(dev.stage)] == [True, False]

    def test_an_artifact_in_another_bucket_does_not_count(self, dev):
        dev.add_bake(bake("a"), model_data_url="s3://other/model.tar.gz")
        assert [v.artifact for v in list_versions(dev.stage)] == [True, False]

    def test_as_json_with_full_ids(self, dev):
        listed = json.loads(json.dumps([v.as_json() for v in list_versions(dev.stage)]))
        assert listed[1]["bake_id"] == bake("a")
        assert listed[1]["at"].endswith("+00:00")
        assert listed[0]["deployed"] is True

    def test_the_table_never_cuts_an_id_to_roll_back_to(self, dev):
        dev.client("s3").delete_object(Bucket=BUCKET, Key=f"bakes/{bake('a')}/bake.json")
        output = io.StringIO()
        Console(file=output, width=80).print(as_table("dev", list_versions(dev.stage)))
        assert "a" * 12 in output.getvalue()
        assert "gone: its artifact was pruned" in output.getvalue()

    def test_nothing_deployed(self, dev):
        dev.client("ssm").delete_parameter(Name=dev.settings.names.deployment_parameter)
        assert list_versions(dev.stage) == []

    def test_what_another_hand_wrote_is_passed_over(self, dev):
        for value in ("{", "[]", '{"bake_id": "x"}'):
            dev.client("ssm").put_parameter(
                Name=dev.settings.names.deployment_parameter, Value=value, Overwrite=True
            )
        assert len(list_versions(dev.stage)) == 2

    def test_more_versions_than_a_page(self, dev):
        for number in range(60):
            dev.deploy(bake("abc"[number % 3]))
        assert len(list_versions(dev.stage)) == 62


class TestPrepare:
    def test_brings_the_corpus_of_that_bake(self, dev, tmp_path):
        earlier = prepare(dev.stage, "aaaa")
        assert earlier.bake_id == bake("a")
        assert earlier.corpus == tmp_path / f".build/rollback/{'a' * 12}/corpus.csv"
        assert earlier.corpus.read_bytes() == CORPUS

    def test_a_bake_that_was_never_deployed_can_be_served_too(self, dev):
        assert prepare(dev.stage, bake("c")).bake_id == bake("c")

    def test_the_one_that_is_deployed_needs_no_rollback(self, dev):
        with pytest.raises(CommandError, match="is the one that is deployed now"):
            prepare(dev.stage, bake("b"))

    def test_an_unknown_one_names_those_there_are(self, dev):
        with pytest.raises(CommandError, match="aaaaaaaaaaaa, cccccccccccc") as caught:
            prepare(dev.stage, "dddd")
        assert "starts with 'dddd'" in str(caught.value)

    def test_too_short_a_beginning_is_refused(self, dev):
        with pytest.raises(CommandError, match="'aaa' is too short"):
            prepare(dev.stage, "aaa")

    def test_an_ambiguous_beginning_is_refused(self, dev):
        dev.add_bake("aaaa" + "f" * 60)
        with pytest.raises(CommandError, match="is the start of several bake ids: aaaa"):
            prepare(dev.stage, "aaaa")

    @pytest.mark.parametrize("missing", ["bake.json", "job-1/output/model.tar.gz"])
    def test_a_pruned_one_is_refused_with_what_to_do(self, dev, missing):
        dev.client("s3").delete_object(Bucket=BUCKET, Key=f"bakes/{bake('a')}/{missing}")
        with pytest.raises(CommandError, match="deploy that corpus"):
            prepare(dev.stage, "aaaa")

    def test_other_settings_are_all_named_with_their_place(self, dev):
        dev.add_bake(bake("a"), model_version="0.1", dimension=7, ranking="answer", model_id="m")
        with pytest.raises(CommandError) as caught:
            prepare(dev.stage, "aaaa")
        model = dev.settings.jumpstart_model
        assert str(caught.value).splitlines() == [
            f"The bake {bake('a')} was made with other settings. Put them back in config/dev.toml"
            " (git shows the earlier ones), then repeat this:",
            f"  model.id is '{model.id}' and was 'm'",
            "  the version of that model in jumpstart.lock.json is"
            f" '{model.version}' and was '0.1'",
            f"  the dimension of that model in jumpstart.lock.json is {model.dimension} and was 7",
            "  search.ranking is 'hybrid' and was 'answer'",
        ]

    def test_a_bake_without_its_corpus_says_how_to_go_on(self, dev):
        dev.client("s3").delete_object(Bucket=BUCKET, Key=f"bakes/{bake('a')}/corpus/corpus.csv")
        with pytest.raises(CommandError, match=f"-c reuse={bake('a')} -c corpus=FILE"):
            prepare(dev.stage, "aaaa")

    def test_a_corpus_that_was_tampered_with_is_refused(self, dev):
        dev.put(f"bakes/{bake('a')}/corpus/corpus.csv", b"Another?,Another.\n")
        with pytest.raises(CommandError, match="is not the corpus of its bake"):
            prepare(dev.stage, "aaaa")

    def test_a_stage_in_progress_is_left_alone(self, dev, monkeypatch):
        stage = dev.stage
        monkeypatch.setattr(
            type(stage),
            "_stack",
            lambda *_: {"StackName": "FaqSearch-dev-Model", "StackStatus": "UPDATE_IN_PROGRESS"},
        )
        with pytest.raises(CommandError, match=r"Model is UPDATE_IN_PROGRESS\. Wait"):
            prepare(stage, "aaaa")


class TestDeploy:
    def test_the_settings_get_that_bake_and_its_corpus(self, dev):
        earlier = prepare(dev.stage, "aaaa")
        choice = choice_of(Choice.read("dev"), earlier)
        assert choice.settings.bake.reuse == bake("a")
        assert choice.settings.corpus.path == earlier.corpus
        assert choice.context == {
            "stage": "dev",
            "corpus": str(earlier.corpus),
            "reuse": bake("a"),
        }

    def test_the_settings_folder_is_kept(self, dev, tmp_path):
        folder = tmp_path / "config"
        folder.mkdir()
        text = Path("config/dev.toml").read_text(encoding="utf-8")
        (folder / "dev.toml").write_text(text)
        choice = Choice.read("dev", config=str(folder))
        assert choice_of(choice, prepare(dev.stage, "aaaa")).context["config"] == str(folder)

    def test_a_corpus_that_todays_settings_refuse(self, dev):
        earlier = prepare(dev.stage, "aaaa")
        earlier.corpus.write_bytes(b"")
        with pytest.raises(SettingsError, match="empty"):
            choice_of(Choice.read("dev"), earlier)

    def test_how_to_keep_it_is_said(self, dev):
        earlier = prepare(dev.stage, "aaaa")
        advice = how_to_keep("dev", earlier)
        assert f'reuse = "{bake("a")}"' in advice
        assert "config/dev.toml" in advice
        assert "git revert" in advice
        assert f".build/rollback/{'a' * 12}/corpus.csv" in advice

    @pytest.mark.parametrize(("status", "ask"), [(0, True), (1, False)])
    def test_the_command_deploys_with_the_real_cdk(self, dev, monkeypatch, capsys, status, ask):
        deployed = []

        def deploy(target, choice, *, ask):
            deployed.append((choice.context["reuse"], ask))
            return status

        monkeypatch.setattr(rollback.deployment, "deploy", deploy)
        given = ["rollback", "aaaa", "--stage", "dev", *([] if ask else ["--yes"])]
        assert main(given) == status
        assert deployed == [(bake("a"), ask)]
        output = capsys.readouterr().out
        assert ("To make this last" in " ".join(output.split())) is (status == 0)

    def test_the_command_says_what_is_in_the_way(self, dev, capsys):
        assert main(["rollback", "dddd", "--stage", "dev"]) == 1
        assert "starts with 'dddd'" in capsys.readouterr().err
