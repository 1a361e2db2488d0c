"""Arrays in .npy files: mapped for reading, and written piece by piece in bounded memory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

_HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def mapped(file: Path, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """The array in a file, mapped into memory.

    Raises OSError, or ValueError unless it has the type and the shape; None allows any length.
    """
    try:
        array = np.load(file, mmap_mode="r")
    except EOFError as error:
        raise ValueError(f"{file.name} is empty") from error
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.dtype(dtype) or not fits:
        wanted_shape = ["any" if length is None else length for length in shape]
        raise ValueError(
            f"{file.name} holds {array.dtype} {list(array.shape)}; expected is"
            f" {np.dtype(dtype)} {wanted_shape}"
        )
    # A plain array of the same memory: each slice of a memmap costs some microseconds.
    return np.asarray(array)


class ArrayFile:
    """A .npy file whose rows are appended; its header is written at the end.

    Not a memory map, whose written pages would count as this process's memory.
    """

    def __init__(self, file: Path, dtype: DTypeLike, row: tuple[int, ...] = ()) -> None:
        self._dtype = np.dtype(dtype)
        self._row = row
        self._file = file.open("wb")
        self._file.write(bytes(_HEADER_BYTES))
        self.rows = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Appends [n, *row]."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self.rows += len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.seek(0)
        self._file.write(header(self._dtype, (self.rows, *self._row)))
        self._file.close()


def header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file, always of the same length."""
    about = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    room = _HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + room.to_bytes(2, "little") + f"{about!r:<{room - 1}}\n".encode("latin-1")
