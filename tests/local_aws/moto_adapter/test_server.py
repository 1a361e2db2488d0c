"""What all of moto's services share."""

from __future__ import annotations

import threading

from moto.core.model import OperationModel
from moto.core.utils import get_service_model

from local_aws import moto_adapter  # noqa: F401  its patches are what is tested


def test_a_model_is_never_seen_half_made():
    get_service_model.cache_clear()
    model = get_service_model("apigateway")
    seen = []
    other = threading.Thread(target=lambda: seen.append(model.operation_model("CreateRestApi")))

    class Cache(dict):
        """Lets the other thread look while only botocore's model is there."""

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            if not isinstance(value, OperationModel):
                other.start()
                other.join(0.2)

    model._instance_cache = Cache()
    assert isinstance(model.operation_model("CreateRestApi"), OperationModel)
    other.join()
    assert isinstance(seen[0], OperationModel)
