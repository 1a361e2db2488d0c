"""What a deployment would change in the corpus, and how that is shown."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from moto import mock_aws

from commands.corpus_diff import LISTED, DiffReport, corpus_diff, listed_entries
from commands.errors import CommandError
from commands.fingerprints import CorpusDiff
from stage.bake_inputs import bake_inputs
from stage.corpus_file import canonical_corpus
from tests.support.versions import BUCKET, AwsStage, bake

OLD = b"Q0?,A0.\nQ1?,A1.\nQ2?,A2.\n"
NEW = b"New?,New.\nQ0?,A0.\nQ1?,Other.\n"


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    file = tmp_path / "faq.csv"
    file.write_bytes(NEW)
    return file


@pytest.fixture
def dev(new_file: Path):
    with mock_aws():
        yield AwsStage.make(new_file)


def deployed_with_the_same_rest(dev: AwsStage, corpus: bytes) -> str:
    """Deploys a corpus of which nothing but the corpus differs; returns its bake id."""
    sha256 = hashlib.sha256(corpus).hexdigest()
    bake_id = bake_inputs(dev.settings.model_copy(update={"corpus_sha256": sha256})).bake_id
    dev.add_bake(bake_id, corpus)
    dev.deploy(bake_id, corpus)
    return bake_id


class TestWhatIsCompared:
    def test_another_corpus(self, dev):
        deployed_with_the_same_rest(dev, OLD)
        assert corpus_diff(dev.stage).text().splitlines() == [
            "Corpus of stage dev",
            "- 2: Q2?",
            "+ 0: New?",
            "! 2 (answer): Q1?",
            "1 added, 1 removed, 1 changed (1 in answer), 1 unchanged.",
            "The file gives no ids, so an entry's id is its row: 1 unchanged entries get another"
            " id.",
            "A training job encodes the corpus; nothing else of the bake changes.",
        ]

    def test_nothing_deployed(self, dev):
        assert corpus_diff(dev.stage).sentences == [
            "Nothing is deployed yet: all 3 entries are new."
        ]

    def test_the_same(self, dev):
        deployed_with_the_same_rest(dev, canonical_corpus(dev.settings).read_bytes())
        report = corpus_diff(dev.stage)
        assert report.diff is None
        assert report.sentences[0].startswith("The corpus is the one that is deployed")
        assert report.sentences[1:] == ["Nothing is encoded again."]

    def test_the_role_that_a_pull_request_is_given_is_enough(self, dev):
        deployed = deployed_with_the_same_rest(dev, OLD)
        asked = []

        def note(model, params, **_):
            asked.append((model.name, params["url_path"]))

        services = ("s3", "ssm", "cloudformation", "sagemaker")
        for service in services:
            dev.client(service).meta.events.register("before-call.*.*", note, "note")
        try:
            corpus_diff(dev.stage)
        finally:
            for service in services:
                dev.client(service).meta.events.unregister("before-call.*.*", unique_id="note")
        assert {name for name, _ in asked} == {
            "DescribeStacks",
            "GetParameter",
            "ListObjectsV2",
            "HeadObject",
            "GetObject",
        }
        read = [path for name, path in asked if name in ("GetObject", "HeadObject")]
        assert all(path.endswith(f"/bakes/{deployed}/corpus/corpus.csv") for path in read)

    def test_a_deployed_bake_that_kept_no_corpus(self, dev):
        dev.deploy(bake("a"), OLD)
        report = corpus_diff(dev.stage)
        assert report.diff is None
        assert "an earlier version of this app, which kept no corpus" in report.sentences[0]

    def test_a_deployed_corpus_that_cannot_be_read_today(self, dev):
        dev.add_bake(bake("a"), b"one,two,three\n")
        dev.deploy(bake("a"), b"one,two,three\n")
        with pytest.raises(CommandError, match=r"cannot be read as one today:\n.*3 columns"):
            corpus_diff(dev.stage)

    def test_a_stage_without_its_stacks(self, new_file):
        with mock_aws():
            dev = AwsStage.make(new_file)
            dev.client("cloudformation").delete_stack(
                StackName=dev.settings.names.stack("Foundation")
            )
            dev.deploy(bake("a"), OLD)
            with pytest.raises(CommandError, match="Stage dev is not deployed in us-east-1"):
                corpus_diff(dev.stage)


class TestPinned:
    @pytest.fixture
    def pinned(self, dev):
        """The settings' corpus as a version in S3, with a later one uploaded since."""
        s3 = dev.client("s3")
        version = s3.put_object(Bucket=BUCKET, Key="their/faq.csv", Body=NEW)["VersionId"]
        s3.put_object(Bucket=BUCKET, Key="their/faq.csv", Body=b"Later?,Later.\n")
        deployed_with_the_same_rest(dev, OLD)

        def make(sha256: str, version_id: str = version) -> AwsStage:
            pinned = {
                "path": None,
                "s3_uri": f"s3://{BUCKET}/their/faq.csv",
                "version_id": version_id,
                "sha256": sha256,
            }
            update = {"corpus": dev.settings.corpus.model_copy(update=pinned)}
            return AwsStage(dev.settings.model_copy(update={**update, "corpus_entries": None}))

        return make

    def test_that_very_version_is_compared(self, pinned):
        report = corpus_diff(pinned(hashlib.sha256(NEW).hexdigest()).stage)
        assert "+ 0: New?" in report.entries

    def test_a_wrong_hash_is_refused(self, pinned):
        with pytest.raises(CommandError, match="pin-corpus"):
            corpus_diff(pinned("0" * 64).stage)

    def test_what_may_not_be_read_is_not_compared(self, pinned):
        report = corpus_diff(pinned("0" * 64, "no-such-version").stage)
        assert report.diff is None
        assert "Its entries are not compared" in report.sentences[0]
        assert "their/faq.csv cannot be read" in report.sentences[0]

    def test_nothing_deployed_and_nothing_counted(self, dev):
        settings = dev.settings.model_copy(update={"corpus_entries": None})
        assert "all of its entries are new" in corpus_diff(AwsStage(settings).stage).sentences[0]


class TestWhatElseChanges:
    def last(self, dev: AwsStage) -> list[str]:
        return [s for s in corpus_diff(dev.stage).sentences if "id is its row" not in s]

    def test_code_or_hyperparameters(self, dev):
        dev.add_bake(bake("a"), OLD)
        dev.deploy(bake("a"), OLD)
        assert self.last(dev) == [
            "The hyperparameters, the image or the code of the container changed too, so everything"
            " is encoded again anyway."
        ]

    def test_the_model(self, dev):
        dev.add_bake(bake("a"), OLD)
        dev.deploy(bake("a"), OLD, model_version="0.1")
        model = dev.settings.jumpstart_model
        assert self.last(dev) == [
            f"The model ({model.id} 0.1 to {model.id} {model.version}) changed too, so everything"
            " is encoded again anyway."
        ]

    def test_code_with_the_same_corpus(self, dev):
        same = canonical_corpus(dev.settings).read_bytes()
        dev.add_bake(bake("a"), same)
        dev.deploy(bake("a"), same)
        assert "code of the container changed too" in self.last(dev)[1]

    def test_a_bake_that_exists_already(self, dev):
        deployed_with_the_same_rest(dev, OLD)
        bake_id = bake_inputs(dev.settings).bake_id
        dev.add_bake(bake_id, NEW)
        assert self.last(dev) == [
            f"The bake {bake_id[:12]}… exists already: no training job starts."
        ]

    @pytest.mark.parametrize("missing", ["bake.json", "job-1/output/model.tar.gz"])
    def test_half_a_bake_does_not_exist(self, dev, missing):
        deployed_with_the_same_rest(dev, OLD)
        bake_id = bake_inputs(dev.settings).bake_id
        dev.add_bake(bake_id, NEW)
        dev.client("s3").delete_object(Bucket=BUCKET, Key=f"bakes/{bake_id}/{missing}")
        assert self.last(dev)[0].startswith("A training job encodes the corpus")

    def test_a_bake_that_the_settings_reuse(self, new_file):
        with mock_aws():
            dev = AwsStage.make(new_file, reuse=bake("e"))
            deployed_with_the_same_rest(dev, OLD)
            assert self.last(dev) == [
                f"The settings reuse the bake {'e' * 12}…: nothing is encoded."
            ]


class TestReport:
    def report(self, tmp_path: Path, count: int, text: str = "Q") -> DiffReport:
        old, new = tmp_path / "old.csv", tmp_path / "new.csv"
        old.write_text("".join(f'"{text}{n}","A{n}"\n' for n in range(count)))
        new.write_text("".join(f'"{text}{n}","B{n}"\n' for n in range(count)))
        changed = dict.fromkeys(range(count), "answer")
        rows = list(range(count))
        diff = CorpusDiff(count, count, added=rows, removed=rows, changed=changed)
        return DiffReport("Title", ["End."], diff, listed_entries(diff, old, new))

    def test_a_long_list_is_cut_with_a_count(self, tmp_path):
        entries = self.report(tmp_path, LISTED + 1234).entries
        assert len(entries) == 3 * (LISTED + 1)
        assert entries[LISTED] == "- … and 1,234 more"
        assert entries[-1] == "! … and 1,234 more"

    def test_a_list_that_fits_is_whole(self, tmp_path):
        entries = self.report(tmp_path, LISTED).entries
        assert len(entries) == 3 * LISTED
        assert not any("more" in entry for entry in entries)

    def test_markdown_takes_nothing_in_a_corpus_for_markup(self, tmp_path):
        evil = "````\n</details> @team <img src=x> \x1b[31m\u202e"
        markdown = self.report(tmp_path, 1, evil).markdown()
        fence = "`" * 5
        before, inside, after = markdown.split(fence)
        assert (
            before
            == "### Title\n\n**1 added, 1 removed, 1 changed (1 in answer), -1 unchanged.**\n\n"
        )
        assert inside.startswith("diff\n- 0: ```` </details> @team")
        assert inside.count("\n") == 4  # each entry is one line
        assert "\x1b" not in inside
        assert "\u202e" not in inside
        assert after == "\n\nEnd.\n"

    def test_markdown_without_entries_has_no_fence(self):
        assert DiffReport("Title", ["One.", "Two."]).markdown() == "### Title\n\nOne.\n\nTwo.\n"

    def test_a_comment_stays_within_what_github_takes(self, tmp_path):
        assert len(self.report(tmp_path, 3000, "long " * 100).markdown()) < 15_000

    def test_both_parts_are_named(self, tmp_path):
        file = tmp_path / "c.csv"
        file.write_text("How?,So\n")
        diff = CorpusDiff(1, 1, changed={0: "both"})
        assert listed_entries(diff, file, file) == ("! 0 (question and answer): How?",)
