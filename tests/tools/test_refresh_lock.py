"""The JumpStart lock, and the tool that refreshes it.

Manifest and specifications here are small ones in the layout the SageMaker SDK reads; the layout
is unverified against the live manifest.
"""

from __future__ import annotations

import copy
import datetime
import json
import urllib.error

import pytest

from tools import refresh_lock, sdk_tables
from tools.refresh_lock import (
    LOCK_FILE,
    TORCH,
    TRANSFORMERS,
    RefreshError,
    changes,
    fetch_https,
    main,
    refresh,
    url_suffix,
    write_lock,
)
from tools.sdk_tables import TablesError, read_tables, tables_of

TODAY = datetime.date(2030, 1, 2)
BUCKET = "https://jumpstart-cache-prod-us-west-2.s3.us-west-2.amazonaws.com/"
WALK_THROUGH = [
    "all-MiniLM-L6-v2",
    "bge-base-en",
    "bge-small-en",
    "bge-large-en",
    "multilingual-e5-base",
    "multilingual-e5-large",
    "e5-base",
    "e5-base-v2",
    "e5-large",
    "e5-large-v2",
    "gte-base",
    "gte-small",
    "gte-large",
]


@pytest.fixture
def real_lock():
    return json.loads(LOCK_FILE.read_text(encoding="utf-8"))


# The lock itself


def test_the_lock_has_the_models_of_the_walk_through_and_newer_ones(real_lock):
    models = real_lock["models"]
    assert {f"huggingface-sentencesimilarity-{name}" for name in WALK_THROUGH} < models.keys()
    assert len(models) > len(WALK_THROUGH)


def test_each_model_says_what_a_deployment_needs(real_lock):
    for model_id, model in real_lock["models"].items():
        assert model["weights_key"].startswith(f"huggingface-sentencesimilarity/{model_id}/")
        assert model["weights_key"].endswith("/artifacts/inference/v1.0.0/")
        assert "/artifacts/inference-prepack/" in model["prepacked_key"]
        assert model["default_instance_type"] in model["instance_types"]
        assert {"ml.c6i.xlarge", "ml.g5.2xlarge"} <= set(model["instance_types"])
        assert model["family"] in {"bert", "xlm-roberta"}
        assert model["source"]


@pytest.mark.parametrize(
    ("name", "dimension", "max_seq_length", "query_prefix", "passage_prefix"),
    [
        ("all-MiniLM-L6-v2", 384, 256, "", ""),
        ("gte-small", 384, 512, "", ""),
        ("gte-large", 1024, 512, "", ""),
        ("e5-base-v2", 768, 512, "query: ", "passage: "),
        ("e5-small-v2", 384, 512, "query: ", "passage: "),
        ("multilingual-e5-large", 1024, 512, "query: ", "passage: "),
        ("bge-m3", 1024, 8192, "", ""),
        (
            "bge-large-en",
            1024,
            512,
            "Represent this sentence for searching relevant passages: ",
            "",
        ),
        ("bge-large-zh-v1-5", 1024, 512, "为这个句子生成表示以用于检索相关文章：", ""),  # noqa: RUF001
    ],
)
def test_model_cards(real_lock, name, dimension, max_seq_length, query_prefix, passage_prefix):
    model = real_lock["models"][f"huggingface-sentencesimilarity-{name}"]
    assert model["dimension"] == dimension
    assert model["max_seq_length"] == max_seq_length
    assert model["query_prefix"] == query_prefix
    assert model["passage_prefix"] == passage_prefix


def test_registries_have_the_domain_of_their_partition(real_lock):
    registries = real_lock["ecr_registries"]
    assert len(registries) > 30
    assert registries["us-east-1"]["account"] == "763104351884"
    assert registries["cn-north-1"]["url_suffix"] == "amazonaws.com.cn"
    for region, registry in registries.items():
        assert len(registry["account"]) == 12
        assert registry["url_suffix"] == url_suffix(region)


def test_retired_types_are_kept_as_facts_with_a_reason(real_lock):
    assert "ml.p3.2xlarge" in real_lock["retired_instance_types"]
    assert all(len(reason) > 20 for reason in real_lock["retired_instance_types"].values())


def test_every_part_names_its_source(real_lock):
    parts = real_lock.keys() - {"sources"}
    assert parts | {"model_cards"} == real_lock["sources"].keys()
    for source in real_lock["sources"].values():
        assert source["source"]
        assert "read_at" in source


def test_the_lock_is_written_as_the_tool_writes_it(real_lock, tmp_path):
    file = tmp_path / "lock.json"
    write_lock(real_lock, file)
    assert file.read_bytes() == LOCK_FILE.read_bytes()
    assert list(tmp_path.iterdir()) == [file]


# The tool


def images(**over):
    image = {
        "py_versions": ["py312"],
        "registries": {"us-west-2": "763104351884", "cn-north-1": "727897471807"},
        "repository": "huggingface-pytorch-inference",
        "container_version": {"gpu": "cu124-ubuntu22.04", "cpu": "ubuntu22.04"},
        **over,
    }
    return {"inference": {"versions": {TRANSFORMERS: {f"pytorch{TORCH}": image}}}}


REGIONS = {"us-west-2": {"content_bucket": "jumpstart-cache-prod-us-west-2", "other": "x"}}


def tables(**over):
    return tables_of("sagemaker-core==9.9", images(**over), REGIONS, TRANSFORMERS, TORCH)


def model(version="1.0.0", name="a"):
    return {
        "version": version,
        "weights_key": f"hub/{name}/inference/v1.0.0/",
        "prepacked_key": f"hub/{name}/prepack/v1.0.0/",
        "default_instance_type": "ml.g5.2xlarge",
        "instance_types": ["ml.g5.2xlarge"],
        "source": "before",
        "dimension": 384,
        "query_prefix": "query: ",
    }


@pytest.fixture
def lock():
    sources = ("content_bucket", "ecr_registries", "image", "models", "model_cards")
    return {
        "content_bucket": "jumpstart-cache-prod-{region}",
        "ecr_registries": {
            "us-west-2": {"account": "111111111111", "url_suffix": "amazonaws.com"},
            "ca-west-1": {"account": "222222222222", "url_suffix": "amazonaws.com", "source": "d"},
        },
        "image": {"repository": "old", "cpu_tag": "old", "gpu_tag": "old"},
        "models": {"huggingface-sentencesimilarity-a": model()},
        "retired_instance_types": {"ml.p3.2xlarge": "no price"},
        "sources": {part: {"source": "before", "read_at": "2020-01-01"} for part in sources},
    }


def header(version, model_id="huggingface-sentencesimilarity-a"):
    return {
        "model_id": model_id,
        "version": version,
        "min_version": "2.0.0",
        "spec_key": f"community_models/{model_id}/specs_v{version}.json",
        "search_keywords": ["Text"],
    }


def spec(version, **over):
    return {
        "model_id": "huggingface-sentencesimilarity-a",
        "url": "https://example.com",
        "version": version,
        "min_sdk_version": "2.0.0",
        "training_supported": True,
        "hosting_artifact_key": f"hub/a/inference/v{version}/",
        "hosting_prepacked_artifact_key": f"hub/a/prepack/v{version}/",
        "default_inference_instance_type": "ml.g6.xlarge",
        "supported_inference_instance_types": ["ml.g6.xlarge", "ml.c7i.xlarge"],
        "hyperparameters": [],
        **over,
    }


class Bucket:
    """JumpStart's bucket: answers with what was put at a key."""

    def __init__(self, headers, *specs):
        self.objects = {"models_manifest.json": headers}
        for one in specs:
            self.objects[f"community_models/{one['model_id']}/specs_v{one['version']}.json"] = one
        self.asked: list[str] = []

    def __call__(self, url):
        assert url.startswith(BUCKET), url
        key = url.removeprefix(BUCKET)
        self.asked.append(key)
        return json.dumps(self.objects[key]).encode()


def test_the_newest_version_is_taken_by_number_not_by_letter(lock):
    bucket = Bucket(
        [header("2.1.9"), header("2.1.21"), header("2.1.3"), header("beta")], spec("2.1.21")
    )
    fresh, remarks = refresh(lock, bucket, tables(), "us-west-2", TODAY)
    assert fresh["models"]["huggingface-sentencesimilarity-a"] == {
        "version": "2.1.21",
        "weights_key": "hub/a/inference/v2.1.21/",
        "prepacked_key": "hub/a/prepack/v2.1.21/",
        "default_instance_type": "ml.g6.xlarge",
        "instance_types": ["ml.g6.xlarge", "ml.c7i.xlarge"],
        "source": f"{BUCKET}community_models/huggingface-sentencesimilarity-a/specs_v2.1.21.json",
        "dimension": 384,
        "query_prefix": "query: ",
    }
    assert len(bucket.asked) == 2
    assert remarks == ["ecr_registries.ca-west-1: not in sagemaker-core==9.9; kept as it was"]


def test_images_and_registries_come_from_the_sdk(lock):
    fresh, _ = refresh(lock, Bucket([header("1.0.0")], spec("1.0.0")), tables(), "us-west-2", TODAY)
    assert fresh["image"] == {
        "repository": "huggingface-pytorch-inference",
        "cpu_tag": "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04",
        "gpu_tag": "2.6.0-transformers4.51.3-gpu-py312-cu124-ubuntu22.04",
    }
    assert fresh["ecr_registries"] == {
        "ca-west-1": lock["ecr_registries"]["ca-west-1"],
        "cn-north-1": {"account": "727897471807", "url_suffix": "amazonaws.com.cn"},
        "us-west-2": {"account": "763104351884", "url_suffix": "amazonaws.com"},
    }


def test_what_is_kept_by_hand_stays_and_the_given_lock_is_not_touched(lock):
    before = copy.deepcopy(lock)
    fresh, _ = refresh(lock, Bucket([header("1.0.0")], spec("1.0.0")), tables(), "us-west-2", TODAY)
    assert lock == before
    assert fresh["retired_instance_types"] == lock["retired_instance_types"]
    assert fresh["sources"]["model_cards"] == lock["sources"]["model_cards"]
    assert fresh["sources"]["image"] == {"source": "sagemaker-core==9.9", "read_at": "2030-01-02"}
    assert fresh["sources"]["models"]["source"].startswith(f"{BUCKET}models_manifest.json")
    assert fresh["sources"]["models"]["read_at"] == "2030-01-02"


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"gated_bucket": True}, "lies in a gated bucket"),
        ({"deprecated": True}, "is deprecated"),
        ({"hosting_artifact_key": "hub/a.tar.gz"}, "has its weights packed, as hub/a.tar.gz"),
    ],
)
def test_a_version_that_cannot_be_deployed_is_not_taken(lock, over, reason):
    bucket = Bucket([header("2.0.0")], spec("2.0.0", **over))
    fresh, remarks = refresh(lock, bucket, tables(), "us-west-2", TODAY)
    assert fresh["models"] == lock["models"]
    assert f"models.huggingface-sentencesimilarity-a: 2.0.0 {reason}" in remarks[-1]


def test_models_that_came_or_went_are_remarked_on(lock):
    other = "huggingface-sentencesimilarity-new"
    bucket = Bucket([header("1.0.0", other), header("1.0.0", "huggingface-llm-x")])
    fresh, remarks = refresh(lock, bucket, tables(), "us-west-2", TODAY)
    assert fresh["models"] == lock["models"]
    assert remarks[1:] == [
        "models.huggingface-sentencesimilarity-a: not in the manifest of us-west-2; kept as it was",
        f"{other}: in the manifest, not in the lock; to add it, write its model card",
    ]


def test_a_bucket_off_the_pattern_is_remarked_on(lock):
    odd = {"us-west-2": {"content_bucket": "elsewhere"}}
    moved = tables_of("sagemaker-core==9.9", images(), odd, TRANSFORMERS, TORCH)
    _, remarks = refresh(lock, Bucket([]), moved, "us-west-2", TODAY)
    assert "content_bucket: sagemaker-core==9.9 has elsewhere in us-west-2" in "\n".join(remarks)


@pytest.mark.parametrize(
    ("headers", "specs"),
    [
        ({"models": []}, []),
        ([{"model_id": "a", "version": "1"}], []),
        ([header("1.0.0")], [spec("1.0.0", supported_inference_instance_types=[])]),
    ],
)
def test_another_layout_is_named_and_refused(lock, headers, specs):
    with pytest.raises(RefreshError, match="is not in the layout this tool knows"):
        refresh(lock, Bucket(headers, *specs), tables(), "us-west-2", TODAY)


def test_changes_are_listed_value_by_value():
    old = {"a": {"b": 1, "c": [1], "source": "x"}, "sources": {"a": 1}}
    new = {"a": {"b": 2, "c": [1], "d": "é", "source": "y"}, "sources": {"a": 2}}
    assert list(changes(old, new)) == ["a.b: 1 -> 2", 'a.d: null -> "\\u00e9"']
    assert list(changes(new, new)) == []


# The SDK's tables


def test_an_sdk_without_the_image_is_refused():
    with pytest.raises(TablesError, match=r"no image of transformers 9\.9 with torch 1\.0"):
        tables_of("sagemaker-core==9.9", images(), REGIONS, "9.9", "1.0")
    with pytest.raises(TablesError, match="registries"):
        tables(registries={})


def test_tables_are_read_from_the_installed_package(tmp_path, monkeypatch):
    for name, content in ((sdk_tables._IMAGES, images()), (sdk_tables._REGIONS, REGIONS)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    class Package:
        version = "9.9"

        def locate_file(self, name):
            return tmp_path / name

    monkeypatch.setattr(sdk_tables, "distribution", lambda name: Package())
    assert read_tables(TRANSFORMERS, TORCH) == tables()


def test_without_the_sdk_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sdk_tables, "_PACKAGE", "no-such-package-at-all")
    with pytest.raises(TablesError, match="not installed: run this tool in the environment of"):
        read_tables(TRANSFORMERS, TORCH)


# The command


@pytest.fixture
def file(lock, tmp_path, monkeypatch):
    monkeypatch.setattr(refresh_lock, "read_tables", lambda *versions: tables())
    # The real look-ups are tried where the SDK is: tests/walkthrough/test_sdk_lookups.py.
    monkeypatch.setattr(refresh_lock, "disagreements", lambda *given, **more: ["SDK: 1, lock: 2"])
    path = tmp_path / "jumpstart.lock.json"
    write_lock(lock, path)
    return path


def test_the_command_rewrites_the_lock_and_says_what_changed(file, capsys):
    bucket = Bucket([header("2.0.0")], spec("2.0.0"))
    assert main([], fetch=bucket, file=file) == 0
    out = capsys.readouterr().out
    assert 'models.huggingface-sentencesimilarity-a.version: "1.0.0" -> "2.0.0"\n' in out
    assert 'ecr_registries.us-west-2.account: "111111111111" -> "763104351884"\n' in out
    assert "ca-west-1: not in" in out
    assert out.endswith("SDK: 1, lock: 2\n")
    fresh = json.loads(file.read_text())
    assert fresh["models"]["huggingface-sentencesimilarity-a"]["version"] == "2.0.0"


def test_a_dry_run_writes_nothing(file, capsys):
    before = file.read_bytes()
    assert main(["--dry-run"], fetch=Bucket([header("2.0.0")], spec("2.0.0")), file=file) == 0
    assert '"1.0.0" -> "2.0.0"' in capsys.readouterr().out
    assert file.read_bytes() == before


def test_without_a_network_nothing_is_changed(file, capsys, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(refresh_lock.urllib.request, "urlopen", no_network)
    before = file.read_bytes()
    assert main([], fetch=fetch_https, file=file) == 1
    assert capsys.readouterr().err == (
        f"{BUCKET}models_manifest.json cannot be reached: Name or service not known\n"
        "jumpstart.lock.json was not changed.\n"
    )
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_failure_half_way_changes_nothing(file, capsys):
    bucket = Bucket([header("2.0.0")])

    def fetch(url):
        if "specs" in url:
            raise RefreshError(f"{url} answered 403 Forbidden")
        return bucket(url)

    before = file.read_bytes()
    assert main([], fetch=fetch, file=file) == 1
    assert "answered 403 Forbidden" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_an_unknown_region_is_a_sentence(file, capsys):
    assert main(["--region", "nowhere"], fetch=Bucket([]), file=file) == 1
    assert "nowhere" in capsys.readouterr().err
