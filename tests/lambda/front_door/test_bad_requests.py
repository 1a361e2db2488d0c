"""Generated nonsense: every wrong request gets a 4xx, a code and a sentence; none a 5xx."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from front_door import requests
from tests.support.front_door import Reply, event

PATHS = {"/embed": "EmbedRequest", "/nearest": "NearestRequest", "/search": "SearchRequest"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4)
FIELDS = {
    "texts": TEXTS,
    "corpus": TEXTS,
    "queries": TEXTS,
    "top_k": st.integers(1, 9),
    "min_score": st.floats(-1, 1),
    "margin": st.floats(0, 1),
    "category": st.text(min_size=1, max_size=5) | TEXTS,
    "instance_type": st.sampled_from(["ml.c6i.xlarge", "ml.g5.2xlarge"]),
}


@st.composite
def nearly_right(draw):
    """Some right fields of a request, some wrong, some that do not belong there."""
    names = draw(st.lists(st.sampled_from([*FIELDS, "x", ""]), unique=True))
    return {name: draw(st.one_of(JSON, FIELDS.get(name, JSON))) for name in names}


@pytest.fixture
def door(door):
    for endpoint in ("faq-c6i", "faq-g5"):
        door.aws.reply(endpoint, _well_behaved)
    return door


def _well_behaved(question):
    if question["mode"] == "embedding":
        return Reply(b'{"embedding": [[1.0]]}')
    if question["mode"] == "search":
        return Reply(b'{"bake_id": "bake-1", "results": [[]]}')
    return Reply(b"[[]]")


def check(door, request):
    status, answer = door.call(request)
    if status == 200:
        return status
    assert 400 <= status < 500, answer
    assert isinstance(answer["code"], str) and answer["code"]
    assert len(answer["message"]) > 10 and "Traceback" not in answer["message"]
    assert answer["request_id"] == "request-1"
    return status


relaxed = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(path=st.sampled_from([*PATHS]), body=nearly_right() | JSON)
def test_json_of_any_shape(door, path, body):
    status = check(door, event(path, json.dumps(body)))
    # Lone surrogates and infinities cannot be right, whatever the shape.
    if status == 200:
        getattr(requests, PATHS[path]).model_validate_json(json.dumps(body))


@relaxed
@given(path=st.sampled_from([*PATHS]), body=st.binary(max_size=60) | st.text().map(str.encode))
def test_bytes_of_any_kind(door, path, body):
    request = event(path, base64.b64encode(body).decode(), base64=True)
    assert check(door, request) == 400


@relaxed
@given(
    path=st.text(max_size=12).map(lambda text: f"/{text}") | st.sampled_from([*PATHS]),
    method=st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "POST"]),
    content_type=st.none() | st.text(max_size=20) | st.just("application/json"),
    body=st.none() | st.text(max_size=20),
)
def test_requests_of_any_kind(door, path, method, content_type, body):
    assert check(door, event(path, body, method, content_type)) >= 400 or method == "GET"
