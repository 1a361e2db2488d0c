"""Keeps moto from importing what nothing here uses, which takes two seconds.

Step Functions would import Batch, and Batch and Systems Manager EC2 with the data of all its
instance types and regions. API Gateway would import a validator of OpenAPI documents, and with it
pydantic's settings; the gate refuses the requests that have such documents.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType


def _leave_out(name: str, **members: object) -> None:
    """Puts a package in place whose modules can be imported, but that imports none itself.

    Args:
        members: What is imported from the package itself.
    """
    if name not in sys.modules:
        spec = find_spec(name)
        assert spec is not None
        package = module_from_spec(spec)
        vars(package).update(members)
        sys.modules[name] = package


@contextmanager
def _without_validator() -> Iterator[None]:
    """Stands in for the validator while moto imports it; others may need the real one."""
    names = [
        "openapi_spec_validator",
        "openapi_spec_validator.validation",
        "openapi_spec_validator.validation.exceptions",
    ]
    known = {name: sys.modules[name] for name in names if name in sys.modules}
    for name in names:
        sys.modules[name] = ModuleType(name)
    vars(sys.modules[names[0]])["validate"] = None
    vars(sys.modules[names[2]])["OpenAPIValidationError"] = ValueError
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(known)


_leave_out("moto.ec2", ec2_backends={})
_leave_out("moto.batch", batch_backends={})
with _without_validator():
    import moto.apigateway.models  # noqa: F401
