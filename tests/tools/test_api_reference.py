"""The site's page of the REST API has everything that openapi.json has."""

from __future__ import annotations

import json
import re

from tools.api_reference import DOCUMENT, api_reference


def test_the_page_has_every_operation_object_and_field() -> None:
    document = json.loads(DOCUMENT.read_text())
    page = api_reference()
    for path, operations in document["paths"].items():
        for verb in operations:
            assert f"\n## {verb.upper()} {path}\n" in page
    for name, schema in document["components"]["schemas"].items():
        section = re.search(rf"\n### {name}\n(.*?)(?=\n### |\Z)", page, re.DOTALL)
        assert section
        assert all(f"| `{field}`" in section[1] for field in schema["properties"])


def test_a_field_shows_its_type_its_limits_and_its_default() -> None:
    page = api_reference()
    assert "| `top_k`, optional | integer | from 1, to 1000, by default `3` |" in page
    assert "| `served_by` | [ServedBy](#servedby) |" in page
