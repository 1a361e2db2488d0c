"""The errors of AWS's Invoke."""

from __future__ import annotations


class LambdaError(Exception):
    """An invocation that the service refuses.

    Attributes:
        code: The Lambda API's error type.
        status: The Lambda API's HTTP status.
    """

    code = "ServiceException"
    status = 500


class FunctionNotFoundError(LambdaError):
    """No such function, version or alias."""

    code = "ResourceNotFoundException"
    status = 404


class TooManyRequestsError(LambdaError):
    """The function's reserved concurrency is in use."""

    code = "TooManyRequestsException"
    status = 429


class RequestTooLargeError(LambdaError):
    """The payload exceeds 6 MB, or 1 MB for an event."""

    code = "RequestEntityTooLargeException"
    status = 413


class InvalidRequestContentError(LambdaError):
    """The payload is not JSON."""

    code = "InvalidRequestContentException"
    status = 400


class UnusablePackageError(LambdaError):
    """The function's code, layers or runtime cannot run on this machine."""

    code = "InvalidRuntimeException"
    status = 502


class InvocationAbandonedError(Exception):
    """The caller stopped waiting; the function runs on."""
