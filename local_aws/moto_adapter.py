"""The one file that touches moto's internals.

moto is pinned exactly. Each function here is small and has a contract test
(tests/unit/test_moto_adapter_*.py) that fails when a new moto no longer means the same.
"""

from __future__ import annotations

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)

# Keeps the underscores in the names of S3 metadata headers, which werkzeug drops.
RequestHandler = MotoRequestHandler


def create_wsgi_app() -> DomainDispatcherApplication:
    """moto's server as one WSGI application; it finds the service of each request itself."""
    return DomainDispatcherApplication(create_backend_app)
