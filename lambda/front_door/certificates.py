"""The authorities behind AWS's certificates, read while the rest of the function is imported.

Reading them takes as long as a tenth of the imports and needs no lock of the interpreter, so a
thread does it: import this module first.
"""

from __future__ import annotations

import ssl
from threading import Thread
from typing import Final

_found: Final[list[ssl.SSLContext]] = []


def _read() -> None:
    _found.append(ssl.create_default_context())


_reading: Final = Thread(target=_read, name="certificates", daemon=True)
_reading.start()


def tls_context() -> ssl.SSLContext:
    """For connections to AWS; checks certificates and host names."""
    _reading.join()
    # Empty where reading failed; then it fails here, for whoever asks.
    return _found[0] if _found else ssl.create_default_context()
