"""The OpenAPI document is current, valid and complete."""

from __future__ import annotations

from openapi_spec_validator import validate

from tools.openapi import DOCUMENT, openapi, rendered


def test_the_committed_document_is_current():
    assert DOCUMENT.read_text(encoding="utf-8") == rendered(), "run make openapi"


def test_it_is_valid_and_complete():
    document = openapi()
    validate(document)
    for path, operations in document["paths"].items():
        function = "batch" if path.startswith("/batch") else "front_door"
        for operation in operations.values():
            assert operation["x-function"] == function
            assert ("{" in path) == ("parameters" in operation)
    embeddings = document["paths"]["/embeddings"]["post"]
    assert embeddings["x-auth"] == ["api_key", "jwt"]
    shapes = {
        status: found["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for status, found in embeddings["responses"].items()
    }
    assert (shapes["400"], shapes["403"]) == ("OpenAiErrorAnswer", "ErrorAnswer")
    search = document["paths"]["/search"]["post"]
    body = search["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/SearchRequest"}
    responses = search["responses"]
    assert {"200", "400", "401", "403", "413", "415", "429", "502", "503", "504"} <= set(responses)
    assert responses["503"]["description"] == (
        "index_unavailable or model_unavailable or serving_off"
    )
    assert {"202", "409"} <= set(document["paths"]["/batch"]["post"]["responses"])
    limits = document["components"]["schemas"]["SearchRequest"]["properties"]
    assert (limits["top_k"]["minimum"], limits["top_k"]["maximum"]) == (1, 1000)
    assert limits["queries"]["items"]["pattern"] == r"\S"
