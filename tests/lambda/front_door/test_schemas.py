"""What is derived from the request models is current, and what it is meant to be."""

from __future__ import annotations

import json

import jsonschema
import pytest
from openapi_spec_validator import validate

from tools.openapi import FUNCTIONS, REQUESTS, ROOT, gateway_schema, generated, openapi

RIGHT = {
    "embed": {"texts": ["a"], "instance_type": "ml.c6i.xlarge"},
    "nearest": {"corpus": ["a"], "queries": ["b"], "top_k": 3, "instance_type": None},
    "search": {"queries": ["b"], "top_k": 3, "min_score": 0.5},
    "batch": {"s3_uri": "s3://bucket/input/a.jsonl", "client_token": "a", "merge": True},
}
WRONG = {
    "embed": [{}, {"texts": []}, {"texts": "a"}, {"texts": [1]}, {"texts": ["a"], "x": 1}, []],
    "nearest": [{"corpus": ["a"]}, {"corpus": ["a"], "queries": ["b"], "top_k": "3"}],
    "search": [{"queries": ["b"], "min_score": "0"}, {"queries": ["b"], "top_k": 1.5}],
    "batch": [{"upload": "yes"}, {"upload": True, "x": 1}, {"upload": True, "instance_count": "2"}],
}


def test_the_committed_files_are_current():
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generated().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run python -m tools.openapi"


@pytest.mark.parametrize("name", REQUESTS)
def test_gateway_schemas_are_draft_4_without_references(name):
    function, _ = REQUESTS[name]
    schema = json.loads((FUNCTIONS / function / "schemas" / f"{name}.json").read_text())
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"
    jsonschema.Draft4Validator.check_schema(schema)
    text = json.dumps(schema)
    assert not any(word in text for word in ("$ref", "$defs", "const", "exclusiveMinimum"))
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", REQUESTS)
def test_the_gateway_refuses_nothing_that_the_model_accepts(name):
    _, model = REQUESTS[name]
    validator = jsonschema.Draft4Validator(gateway_schema(model))
    model.model_validate_json(json.dumps(RIGHT[name]))
    validator.validate(RIGHT[name])
    for wrong in WRONG[name]:
        assert not validator.is_valid(wrong)


def test_the_openapi_document_is_valid_and_complete():
    document = openapi()
    validate(document)
    assert {path: [*methods] for path, methods in document["paths"].items()} == {
        "/embed": ["post"],
        "/nearest": ["post"],
        "/search": ["post"],
        "/endpoints": ["get"],
        "/health": ["get"],
        "/batch": ["post"],
        "/batch/{batch_id}": ["get", "delete"],
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("{batch_id}" in path) == ("parameters" in operation)
    search = document["paths"]["/search"]["post"]["responses"]
    assert {"200", "400", "401", "403", "413", "415", "429", "502", "503", "504"} <= set(search)
    assert search["503"]["description"] == "model_unavailable or serving_off"
    assert {"202", "409"} <= set(document["paths"]["/batch"]["post"]["responses"])
    limits = document["components"]["schemas"]["SearchRequest"]["properties"]
    assert (limits["top_k"]["minimum"], limits["top_k"]["maximum"]) == (1, 1000)
    assert limits["queries"]["items"]["pattern"] == r"\S"
