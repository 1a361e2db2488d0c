"""moto's server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Keeps the underscores in the names of S3 metadata headers, which werkzeug drops.
RequestHandler = MotoRequestHandler


def create_wsgi_app() -> WSGIApplication:
    """moto's server as one WSGI application; it finds the service of each request itself.

    From now on moto runs state machines and knows AWS's managed policies.
    """
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    default_user_config["iam"]["load_aws_managed_policies"] = True
    application = DomainDispatcherApplication(create_backend_app)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # What many a client calls its upload when nobody says otherwise: moto would take the
        # content for a form, and lose it.
        form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
        if form and environ["REQUEST_METHOD"] == "PUT":
            environ["CONTENT_TYPE"] = "binary/octet-stream"
        answered: Iterable[bytes] = application(environ, start_response)
        return answered

    return answer
