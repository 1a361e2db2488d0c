"""Filters of metadata, by AWS's page about them."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.s3_vectors.filters import compile_filter
from local_aws.service_errors import ApiError

FILM = {"genre": ["drama", "crime"], "year": 2020, "seen": True, "path": "/films/a", "price": 9.5}


@pytest.mark.parametrize(
    ("written", "passes"),
    [
        ({"path": "/films/a"}, True),
        ({"genre": "drama"}, True),
        ({"genre": {"$eq": "comedy"}}, False),
        ({"genre": {"$ne": "drama"}}, False),
        ({"genre": {"$ne": "comedy"}}, True),
        ({"year": {"$gt": 2019}}, True),
        ({"year": {"$gte": 2021}}, False),
        ({"year": {"$lt": 2020}}, False),
        ({"year": {"$lte": 2020}}, True),
        ({"price": {"$gte": 9, "$lte": 10}}, True),
        ({"price": {"$gte": 9, "$lte": 9}}, False),
        ({"path": {"$gt": 1}}, False),
        ({"path": {"$startsWith": "/films/"}}, True),
        ({"path": {"$startsWith": "/music/"}}, False),
        ({"genre": {"$in": ["comedy", "crime"]}}, True),
        ({"genre": {"$nin": ["comedy", "crime"]}}, False),
        ({"other": {"$nin": ["comedy"]}}, True),
        ({"other": {"$exists": False}}, True),
        ({"genre": {"$exists": False}}, False),
        ({"seen": True}, True),
        ({"seen": 1}, False),
        ({"$and": [{"genre": "drama"}, {"year": {"$gte": 2020}}]}, True),
        ({"$and": [{"genre": "drama"}, {"year": {"$gte": 2021}}]}, False),
        ({"$or": [{"genre": "comedy"}, {"$and": [{"year": 2020}]}]}, True),
    ],
)
def test_filters(written: dict[str, Any], passes: bool) -> None:
    assert compile_filter(written, ())(FILM) is passes


@pytest.mark.parametrize(
    "written",
    [
        {},
        [],
        {"genre": "drama", "year": 2020},
        {"text": "secret"},
        {"$not": [{"a": 1}]},
        {"$and": []},
        {"$or": {"a": 1}},
        {"a": {}},
        {"a": {"$eq": None}},
        {"a": {"$like": "x"}},
        {"a": {"$gt": "2020"}},
        {"a": {"$in": []}},
        {"a": {"$in": [{}]}},
        {"a": {"$exists": "yes"}},
        {"a": {"$startsWith": 1}},
        {"a": {"$in": list(range(101))}},
        {"$and": [{"a": number} for number in range(101)]},
    ],
)
def test_what_is_no_filter(written: Any) -> None:
    with pytest.raises(ApiError, match="Invalid filter"):
        compile_filter(written, ("text",))
