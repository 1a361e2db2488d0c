"""What moto is kept from importing."""

from __future__ import annotations

import subprocess
import sys

_STARTS = """
import sys

import local_aws.server
import moto.ssm.models  # imported at the first request
import moto.stepfunctions.models

heavy = ["moto.ec2.models", "moto.batch.models", "pydantic_settings", "cfnlint"]
print([name for name in heavy if name in sys.modules])

from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

try:
    validate({"openapi": "3.1.0"})
except OpenAPIValidationError:
    print("refused")
"""


def test_a_start_imports_neither_ec2_nor_a_validator_which_others_can_still_use():
    run = subprocess.run(
        [sys.executable, "-c", _STARTS], capture_output=True, text=True, check=False
    )
    assert run.stdout.splitlines() == ["[]", "refused"], run.stderr
