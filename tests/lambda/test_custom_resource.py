"""Answers to CloudFormation, as each custom resource delivers them."""

from __future__ import annotations

import json
import logging
import urllib.error

import pytest

import custom_resource


@pytest.fixture
def answer(answers, pauses):
    event = {
        "ResponseURL": answers.url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Bake",
    }
    return lambda **members: custom_resource.answer(
        event, **{"status": "FAILED", "physical_id": "id", **members}
    )


def test_has_what_cloudformation_needs(answer, answers):
    answer(status="SUCCESS", data={"A": "b"})
    assert answers.only == {
        "Status": "SUCCESS",
        "Reason": "",
        "PhysicalResourceId": "id",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Bake",
        "Data": {"A": "b"},
    }
    # The URL's signature covers an empty content type.
    assert answers.content_types == [""]


@pytest.mark.parametrize("reason", ["x" * 9000, "ж" * 9000, '"' * 9000, "\x00" * 9000])
def test_a_long_reason_is_cut_so_that_the_whole_answer_fits(answer, answers, reason):
    answer(reason=reason)
    assert 3500 < answers.sizes[0] <= 4096
    assert answers.only["Reason"].endswith("…")
    assert reason.startswith(answers.only["Reason"][:-1])


def test_a_reason_that_fits_stays_whole(answer, answers):
    answer(reason="ж" * 1900)
    assert answers.only["Reason"] == "ж" * 1900


def test_momentary_errors_are_retried(answer, answers, pauses):
    answers.refusals = [503, 500, 503]
    answer()
    assert answers.only["Status"] == "FAILED"
    assert pauses == [1, 2, 4]


def test_lasting_errors_escape_so_that_lambda_calls_again(answer, answers, pauses):
    answers.refusals = [503] * 4
    with pytest.raises(urllib.error.HTTPError):
        answer()
    assert answers.received == []


def test_an_expired_url_is_not_retried(answer, answers, pauses):
    answers.refusals = [403]
    with pytest.raises(urllib.error.HTTPError):
        answer()
    assert pauses == []


def test_the_url_is_not_logged(answer, answers, caplog):
    caplog.set_level(logging.DEBUG)
    answers.refusals = [503]
    answer(reason="because")
    assert "because" in caplog.text
    assert "signature" not in caplog.text
    assert json.dumps(answers.url) not in caplog.text
