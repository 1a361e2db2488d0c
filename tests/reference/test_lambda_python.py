"""The front door under Lambda's Python, with the layer that a deployment uploads."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from importlib.util import find_spec
from pathlib import Path

from stage.bundles import ROOT
from stage.vendor import LAYER

ASK = """
import json, sys
import pydantic_core, aws_lambda_powertools
layer = sys.argv[1]
assert pydantic_core.__file__.startswith(layer), pydantic_core.__file__
assert aws_lambda_powertools.__file__.startswith(layer), aws_lambda_powertools.__file__
from front_door import handler
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
    def get_remaining_time_in_millis(self): return 28000
event = {"httpMethod": "POST", "path": "/search", "resource": "/search", "headers":
    {"content-type": "application/json"}, "multiValueHeaders": {"content-type":
    ["application/json"]}, "queryStringParameters": None, "multiValueQueryStringParameters": None,
    "pathParameters": None, "stageVariables": None, "isBase64Encoded": False,
    "requestContext": {"requestId": "r", "stage": "v1"}, "body": '{"queries": []}'}
answer = handler.handler(event, Context())
print(json.dumps([list(sys.version_info[:2]), answer["statusCode"], json.loads(answer["body"])]))
"""


def test_the_layer_loads_and_the_front_door_answers(tmp_path: Path) -> None:
    with zipfile.ZipFile(LAYER.path) as layer:
        layer.extractall(tmp_path)
    botocore = find_spec("botocore")  # Lambda's runtime brings it; here this environment does
    assert botocore is not None and botocore.origin is not None
    site = Path(botocore.origin).parents[1]
    result = subprocess.run(
        [os.environ["LAMBDA_PYTHON"], "-S", "-c", ASK, str(tmp_path / "python")],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                map(
                    str,
                    (
                        ROOT / "lambda",
                        ROOT,
                        tmp_path / "python",
                        site,
                    ),
                )
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
            "APP_STAGE": "test",
            "ENDPOINTS": json.dumps([{"instance_type": "ml.x", "endpoint_name": "x"}]),
            "DEPLOYMENT_PARAMETER": "/x",
            "SERVING_PARAMETER": "/x",
            "MIN_SCORE": "0.4",
            "MARGIN": "0",
            "UNANSWERED_BELOW": "0.3",
            "LEXICAL": "true",
            "POWERTOOLS_SERVICE_NAME": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    version, status, body = json.loads(result.stdout.splitlines()[-1])
    assert version == [3, 13]
    assert (status, body["code"]) == (400, "invalid_request")
