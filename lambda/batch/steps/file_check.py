"""Faults of a whole file, told by its first bytes."""

from __future__ import annotations

import codecs

from batch.steps.errors import BatchError

_FORMATS = {
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "compressed with bzip2; unpack it",
    b"\xfd7zXZ": "compressed with xz; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it",
    b"PAR1": "a Parquet file; write it as JSON lines",
    codecs.BOM_UTF16_LE: "UTF-16 or UTF-32; save it as UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16; save it as UTF-8",
    codecs.BOM_UTF32_BE: "UTF-32; save it as UTF-8",
}


def check_beginning(beginning: bytes) -> None:
    """Raise BatchError for a file that is no text of ours at all.

    Args:
        beginning: the first bytes, four at least unless the file has fewer.
    """
    if not beginning:
        raise BatchError("The file is empty.")
    for mark, found in _FORMATS.items():
        if beginning.startswith(mark):
            raise BatchError(f"The file is {found}. JSON lines in UTF-8 are allowed.")
    # UTF-16 without a mark: every other byte of plain English is zero.
    zeros = [byte == 0 for byte in beginning[:4]]
    if zeros in ([False, True, False, True], [True, False, True, False]):
        raise BatchError("The file is UTF-16; save it as UTF-8. JSON lines in UTF-8 are allowed.")
