"""Which bakes may go, and that they are gone then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from moto import mock_aws

from commands import prune
from commands.__main__ import main
from commands.bakes import Bakes
from commands.errors import CommandError
from commands.prune import Verdict, judge, remove
from tests.support.versions import BUCKET, ROLE, AwsStage, bake

LATER = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture
def dev():
    """Bakes a to f, of which a to e were deployed in that order; f never was."""
    with mock_aws():
        dev = AwsStage.make()
        for digit in "abcdef":
            dev.add_bake(bake(digit))
        for digit in "abcde":
            dev.deploy(bake(digit))
        yield dev


def reasons(dev: AwsStage, keep: int = 2, now: datetime = LATER) -> dict[str, str]:
    return {verdict.bake_id[0]: verdict.reason for verdict in judge(dev.stage, keep, now)}


class TestJudge:
    def test_the_deployed_one_and_the_last_few_are_kept(self, dev):
        assert reasons(dev) == {
            "a": "",
            "b": "",
            "c": "",
            "d": "among the last 2 deployed",
            "e": "deployed now",
            "f": "",
        }

    def test_the_deployed_one_is_kept_in_any_case(self, dev):
        kept = {digit for digit, reason in reasons(dev, keep=1).items() if reason}
        assert kept == {"e"}

    def test_going_to_and_fro_counts_each_bake_once(self, dev):
        for digit in "dedede":
            dev.deploy(bake(digit))
        kept = {digit for digit, reason in reasons(dev, keep=3).items() if reason}
        assert kept == {"c", "d", "e"}

    def test_what_was_written_within_a_day_is_kept(self, dev):
        almost = datetime.now(UTC) + timedelta(hours=23)
        assert set(reasons(dev, now=almost).values()) == {"deployed now", "younger than a day"}

    @pytest.mark.parametrize("in_list", [False, True])
    def test_what_a_model_refers_to_is_kept(self, dev, in_list):
        url = f"s3://{BUCKET}/bakes/{bake('a')}/job-1/output/model.tar.gz"
        dev.add_model("theirs", url, in_list=in_list)
        dev.add_model("others", url.replace(BUCKET, "another").replace("aaa", "bbb"))
        found = reasons(dev)
        assert found["a"] == "the Model theirs refers to it"
        assert found["b"] == ""

    @pytest.mark.parametrize(
        ("status", "kept"),
        [("InProgress", True), ("Stopping", True), ("Failed", False), ("Completed", False)],
    )
    def test_what_is_being_baked_is_kept(self, dev, monkeypatch, status, kept):
        jobs = {"faq-search-dev-ffffffffffff-2": status, "faq-search-devops-aaaaaaaaaaaa-1": status}

        class Paginator:
            def paginate(self, NameContains, StatusEquals):  # noqa: N803
                found = [
                    {"TrainingJobName": name}
                    for name, each in jobs.items()
                    if NameContains in name and each == StatusEquals
                ]
                return [{"TrainingJobSummaries": found}]

        sagemaker = dev.client("sagemaker")
        real = sagemaker.get_paginator
        monkeypatch.setattr(
            sagemaker,
            "get_paginator",
            lambda name: Paginator() if name == "list_training_jobs" else real(name),
        )
        found = {v.bake_id[0]: v.reason for v in judge(dev.stage, 1, LATER)}
        assert bool(found["f"]) is kept
        assert found["a"] == ""

    def test_what_the_settings_reuse_is_kept(self):
        with mock_aws():
            dev = AwsStage.make(reuse=bake("a"))
            for digit in "abc":
                dev.add_bake(bake(digit))
                dev.deploy(bake(digit))
            assert reasons(dev, keep=1)["a"] == "the settings reuse it"

    def test_sizes_count_every_version(self, dev):
        dev.put(f"bakes/{bake('a')}/job-1/output/model.tar.gz", b"x" * 1000)
        dev.put(f"bakes/{bake('a')}/job-1/output/model.tar.gz", b"x" * 3000)
        sizes = {v.bake_id[0]: v.stored.size for v in judge(dev.stage, 1, LATER)}
        assert sizes["a"] - sizes["b"] == 4000

    def test_without_a_deployment_nothing_is_judged(self, dev):
        dev.client("ssm").delete_parameter(Name=dev.settings.names.deployment_parameter)
        with pytest.raises(CommandError, match="nothing says which bakes are in use"):
            judge(dev.stage, 5)

    def test_while_a_deployment_runs_nothing_is_judged(self, dev, monkeypatch):
        stack = {"StackName": "FaqSearch-dev-Model", "StackStatus": "UPDATE_ROLLBACK_FAILED"}
        monkeypatch.setattr(
            dev.client("cloudformation"), "describe_stacks", lambda **_: {"Stacks": [stack]}
        )
        with pytest.raises(CommandError, match="Model is UPDATE_ROLLBACK_FAILED"):
            judge(dev.stage, 5)

    def test_a_model_that_goes_meanwhile_does_no_harm(self, dev, monkeypatch):
        dev.client("sagemaker").create_model(
            ModelName="short-lived",
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": "i", "ModelDataUrl": "s3://x/y"},
        )
        sagemaker = dev.client("sagemaker")
        describe = sagemaker.describe_model

        def describe_late(ModelName):  # noqa: N803
            sagemaker.delete_model(ModelName=ModelName)
            return describe(ModelName=ModelName)

        monkeypatch.setattr(sagemaker, "describe_model", describe_late)
        assert judge(dev.stage, 5, LATER)


class TestRemove:
    def test_every_version_goes_and_nothing_else(self, dev):
        key = f"bakes/{bake('a')}/job-1/output/model.tar.gz"
        dev.put(key, b"newer")
        dev.client("s3").delete_object(Bucket=BUCKET, Key=key)  # leaves a delete marker
        dev.put("elsewhere/bake.json", b"x")
        verdicts = judge(dev.stage, 3, LATER)
        freed, refused = remove(dev.stage, verdicts)
        assert refused == []
        assert freed == sum(v.stored.size for v in verdicts if not v.reason) > 0
        kept = {key.split("/")[1][0] for key in dev.stored_keys() if key.startswith("bakes/")}
        assert kept == {"c", "d", "e"}
        assert "elsewhere/bake.json" in dev.stored_keys()

    def test_the_marker_goes_first(self, dev):
        for verdict in judge(dev.stage, 1, LATER):
            assert verdict.stored.versions[0]["Key"].endswith("/bake.json")

    def test_a_thousand_at_a_time(self, monkeypatch):
        asked = []

        class S3:
            def delete_objects(self, Bucket, Delete):  # noqa: N803
                asked.append(len(Delete["Objects"]))
                return {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "denied"}]}

        versions = [{"Key": str(n), "VersionId": "v"} for n in range(2001)]
        assert Bakes(S3(), BUCKET).delete(versions) == ["k: denied"] * 3
        assert asked == [1000, 1000, 1]

    def test_what_cannot_be_deleted_is_reported_and_not_counted(self, dev, monkeypatch):
        monkeypatch.setattr(Bakes, "delete", lambda *_: ["bakes/x: denied"])
        verdicts = [v for v in judge(dev.stage, 1, LATER) if v.bake_id == bake("a")]
        assert remove(dev.stage, verdicts) == (0, ["bakes/x: denied"])


class TestCommand:
    @pytest.fixture(autouse=True)
    def _two_days_later(self, monkeypatch):
        real = prune.judge
        monkeypatch.setattr(prune, "judge", lambda stage, keep: real(stage, keep, LATER))

    def test_only_shows_without_yes(self, dev, capsys):
        before = dev.stored_keys()
        assert main(["prune", "--stage", "dev", "--keep", "2"]) == 0
        assert dev.stored_keys() == before
        output = capsys.readouterr().out
        assert "may go. To delete them: make prune YES=1" in output
        assert "kept: deployed now" in output

    def test_deletes_with_yes(self, dev, capsys):
        assert main(["prune", "--stage", "dev", "--keep", "2", "--yes"]) == 0
        assert {key.split("/")[1][0] for key in dev.stored_keys()} == {"d", "e"}
        assert "Freed 0.0 MB." in capsys.readouterr().out

    def test_nothing_to_prune(self, dev, capsys):
        dev.deploy(bake("f"))
        assert main(["prune", "--stage", "dev", "--keep", "9", "--yes"]) == 0
        assert "nothing to prune" in capsys.readouterr().out

    def test_tells_what_could_not_be_deleted(self, dev, capsys, monkeypatch):
        monkeypatch.setattr(Bakes, "delete", lambda *_: ["bakes/x: denied"])
        assert main(["prune", "--stage", "dev", "--keep", "2", "--yes"]) == 1
        assert "Not deleted: bakes/x: denied" in capsys.readouterr().out

    @pytest.mark.parametrize("keep", ["0", "-1", "x"])
    def test_keeps_at_least_one(self, keep):
        with pytest.raises(SystemExit):
            main(["prune", "--stage", "dev", "--keep", keep])


def test_the_other_commands_answer_too(dev, capsys, tmp_path: Path):
    file = tmp_path / "diff.md"
    assert main(["corpus-diff", "--stage", "dev", "--markdown", str(file)]) == 0
    assert file.read_text().startswith("### Corpus of stage dev\n")
    capsys.readouterr()
    assert main(["corpus-diff", "--stage", "dev", "--markdown", "-"]) == 0
    assert capsys.readouterr().out == file.read_text()
    assert main(["corpus-diff", "--stage", "dev"]) == 0
    assert main(["versions", "--stage", "dev"]) == 0
    assert "Versions of stage dev" in capsys.readouterr().out
    assert main(["versions", "--stage", "dev", "--json"]) == 0
    assert bake("a") in capsys.readouterr().out
    assert main(["versions", "--stage", "nowhere"]) == 1


def test_an_answer_of_aws_becomes_a_sentence(dev, capsys, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    dev.client("ssm").delete_parameter(Name=dev.settings.names.deployment_parameter)
    assert main(["versions", "--stage", "dev"]) == 0
    assert "Stage dev is not deployed." in capsys.readouterr().out


def test_verdicts_are_shown_in_a_table(dev):
    verdicts: list[Verdict] = judge(dev.stage, 1, LATER)
    assert prune.as_table("dev", verdicts).row_count == 6
