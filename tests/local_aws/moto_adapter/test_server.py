"""What all of moto's services share."""

from __future__ import annotations

import threading
import time

import pytest
from moto.core.model import OperationModel
from moto.core.utils import get_service_model
from moto.logs.responses import LogsResponse
from moto.s3.responses import S3Response

from local_aws.server import LocalAws


def test_a_model_is_never_seen_half_made():
    get_service_model.cache_clear()
    model = get_service_model("apigateway")
    seen = []
    other = threading.Thread(target=lambda: seen.append(model.operation_model("CreateRestApi")))

    class Cache(dict):
        """Lets the other thread look up the model while the cache holds botocore's."""

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            if not isinstance(value, OperationModel):
                other.start()
                other.join(0.2)

    model._instance_cache = Cache()
    assert isinstance(model.operation_model("CreateRestApi"), OperationModel)
    other.join()
    assert isinstance(seen[0], OperationModel)


@pytest.mark.parametrize(
    ("service", "call", "response", "method", "most"),
    [
        ("logs", "describe_log_groups", LogsResponse, "describe_log_groups", 1),
        ("s3", "list_buckets", S3Response, "all_buckets", 3),
    ],
)
def test_requests_of_one_service_wait_for_each_other(
    tmp_path, monkeypatch, service, call, response, method, most
):
    # They failed with "dictionary changed size during iteration". S3's do not wait.
    inside, seen = [], []
    original = getattr(response, method)

    def slow(self):
        inside.append(1)
        time.sleep(0.1)
        seen.append(len(inside))
        inside.pop()
        return original(self)

    monkeypatch.setattr(response, method, slow)
    with LocalAws(tmp_path) as aws:
        client = aws.context.client(service)
        threads = [threading.Thread(target=getattr(client, call)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(seen) == most
