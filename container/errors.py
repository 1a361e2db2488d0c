"""The errors that the container tells its users about, in sentences."""

from __future__ import annotations


class BakeError(Exception):
    """The bake cannot go on. The message says what was found and what to do."""


class LoadError(Exception):
    """An artifact cannot be served: broken, incomplete, or not the one its Model names."""


class InvalidRequestError(Exception):
    """A request that the caller can mend; ``str()`` is ``invalid_request: <sentence>``."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"invalid_request: {sentence}")
        self.sentence = sentence


class InternalError(Exception):
    """A failure of ours while answering; ``str()`` is ``internal_error: <sentence>``."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"internal_error: {sentence}")
