"""The errors that the container reports to its users, in sentences."""

from __future__ import annotations


class BakeError(Exception):
    """The bake cannot go on. The message says what was found and what to do."""


class LoadError(Exception):
    """An artifact cannot be served: broken, incomplete, or not the one that its Model names."""


class InvalidRequestError(Exception):
    """A request that the caller can correct; `str()` is `invalid_request: <sentence>`."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"invalid_request: {sentence}")
        self.sentence = sentence


class ExpiredError(Exception):
    """Nobody waits for the answer any longer; `str()` is `time_out: <sentence>`."""

    def __init__(self) -> None:
        super().__init__("time_out: the time for this request is over, so its work was dropped")


class BusyError(Exception):
    """As many large requests as may hold a worker do; `str()` is `busy: <sentence>`."""

    def __init__(self) -> None:
        super().__init__("busy: other large requests are being worked off; send it again later")


class InternalError(Exception):
    """The model failed on a valid request; `str()` is `internal_error: <sentence>`."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"internal_error: {sentence}")
