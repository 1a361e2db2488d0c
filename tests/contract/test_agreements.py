"""Every agreed name, in full: a change breaks deployed stages, or those who read their data.

The only place besides contract/ that spells them out. A change belongs in CHANGELOG.md.
"""

from __future__ import annotations

from types import ModuleType

from contract import bake_objects, batch_objects, index_objects, metrics, names, outputs, switch
from contract.names import Names

LONGEST_STAGE = "s" * 16


def _constants(module: ModuleType) -> dict[str, object]:
    return {n: v for n, v in vars(module).items() if n.isupper() and not n.startswith("_")}


def test_metrics() -> None:
    assert _constants(metrics) == {
        "NAMESPACE": "FaqSearch",
        "QUESTIONS": "Questions",
        "UNANSWERED_QUESTIONS": "UnansweredQuestions",
        "QUESTIONS_NOT_KEPT": "QuestionsNotKept",
        "FAILED_OVER": "FailedOver",
        "SWITCHED_OFF": "SwitchedOff",
        "MODEL_WAIT": "ModelWait",
        "CORPUS_AGE_DAYS": "CorpusAgeDays",
        "PROBE_FAILED": "ProbeFailed",
        "PROBE_LATENCY": "ProbeLatency",
    }
    assert metrics.endpoint_dimensions("dev", "endpoint", "bake") == {
        "Stage": "dev",
        "EndpointName": "endpoint",
        "BakeId": "bake",
    }
    of_all_bakes = metrics.endpoint_dimensions("dev", "endpoint")
    assert of_all_bakes == {"Stage": "dev", "EndpointName": "endpoint"}
    assert metrics.stage_dimensions("dev") == {"Stage": "dev"}


def test_switch() -> None:
    assert _constants(switch) == {"PARAMETER": "Serving", "ON": "on", "OFF": "off"}


def test_outputs() -> None:
    assert set(_constants(outputs).values()) == {
        *("ArtifactsBucketName", "BatchBucketName", "TopicArn", "IndexWorkflowArn"),
        *("ApiUrl", "ApiAuth", "ApiKeyId", "ApiKeyIds", "ConsoleUrl"),
        *("DashboardName", "DiffRoleArn", "DeployRoleArn"),
    }


def test_objects_of_an_index() -> None:
    assert index_objects.WANTED_KEY == "indexes/wanted.json"
    assert index_objects.index_marker_key("i") == "indexes/i/index.json"
    assert index_objects.index_corpus_prefix("i") == "indexes/i/corpus/"
    assert index_objects.load_key("i") == "indexes/i/load.json"
    key = index_objects.part_key("i", "run", 7, entries=20, vectors=22)
    assert key == "indexes/i/parts/run/00007-20-22"
    assert index_objects.part_of_key(key) == (7, 20, 22)
    assert index_objects.execution_name("i", 2) == "i-2"


def test_objects_of_a_bake() -> None:
    assert bake_objects.marker_key("b") == "bakes/b/bake.json"
    assert bake_objects.corpus_prefix("b") == "bakes/b/corpus/"
    assert bake_objects.artifact_key("b", "job-1") == "bakes/b/job-1/output/model.tar.gz"
    for key in ("bakes/b/", "bakes/b/bake.json", "bakes/b/job-1/output/model.tar.gz"):
        assert bake_objects.bake_id_of_key(key) == "b"


def test_objects_of_a_batch() -> None:
    assert batch_objects.upload_key("b") == "input/uploads/b.jsonl"
    assert batch_objects.request_key("b") == "requests/b.json"
    assert batch_objects.shard_key("b", 7) == "shards/b/00007.jsonl"
    assert batch_objects.rejects_key("b", 7) == "output/b/rejects/00007.jsonl"
    assert batch_objects.merged_key("b") == "output/b/embeddings.jsonl"
    assert batch_objects.report_key("b") == "output/b/report.json"


def test_names_of_a_stage() -> None:
    dev = Names("dev")
    assert (names.APP_NAME, names.API_STAGE) == ("faq-search", "v1")
    assert [dev.stack(part) for part in (*names.STACKS, "*")] == [
        "FaqSearch-dev-Foundation",
        "FaqSearch-dev-Model",
        "FaqSearch-dev-Batch",
        "FaqSearch-dev-Index",
        "FaqSearch-dev-FrontDoor",
        "FaqSearch-dev-Operations",
        "FaqSearch-dev-*",
    ]
    assert dev.prefix == "faq-search-dev"
    assert dev.endpoint("ml.g5.2xlarge") == "faq-search-dev-g5-2xlarge"
    assert dev.front_door_function == "faq-search-dev-front-door"
    assert dev.bake_workflow == "faq-search-dev-bake"
    assert dev.batch_workflow == "faq-search-dev-batch"
    assert dev.index_workflow == "faq-search-dev-index"
    assert dev.vector_bucket == "faq-search-dev"
    assert dev.switch_workflow == "faq-search-dev-switch"
    assert dev.unanswered_log_group == "/faq-search/dev/unanswered"
    assert dev.parameter_prefix == "/faq-search/dev"
    assert dev.deployment_parameter == "/faq-search/dev/deployment"
    assert dev.index_parameter == "/faq-search/dev/index"
    assert dev.serving_parameter == "/faq-search/dev/serving"
    assert dev.model_name_parameter(gpu=True) == "/faq-search/dev/model-name/gpu"
    assert dev.model_name_parameter(gpu=False) == "/faq-search/dev/model-name/cpu"


def test_names_of_the_longest_stage_fit() -> None:
    longest = Names(LONGEST_STAGE)
    assert len(longest.endpoint("ml.p4d.24xlarge")) <= 63
    assert len(longest.front_door_function) <= 64
