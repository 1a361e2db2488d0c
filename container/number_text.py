"""float32 vectors as text, each number the shortest that reads back as the same float32.

numpy writes such numbers too, one at a time: a quarter of the time that a small model needs to
encode a short text. Here whole arrays are written at once, digit by digit the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Every number gets a slot of 16 bytes: the separator before it, its sign, "0.", and twelve
# decimals in three parts of four. What a number does not need is NUL, and goes at the end.
_SLOT = 16
_DECIMALS = 12
_PART = 10_000
_SIGNS = np.frombuffer(b",\0000." + b",-0.", dtype=np.uint32)
_PARTS = np.frombuffer(
    b"".join(b"%04d" % part for part in range(_PART))
    # The same as a number's last part, without the zeros at its end.
    + b"".join((b"%04d" % part).rstrip(b"0").ljust(4, b"\0") for part in range(_PART)),
    dtype=np.uint32,
)
_POWERS = 10.0 ** np.arange(_DECIMALS + 1)
# Fewer digits than six need no try of their own: they are the six with zeros at the end. Nine
# are enough for any float32.
_DIGITS = (6, 7, 8, 9)
# Numbers written at a time: few enough that all steps find them in the processor's cache.
_BLOCK = 6144


def vectors_text(vectors: NDArray[np.float32]) -> list[str]:
    """Each row of [n, dimension] as a JSON list; numbers are finite and below a thousand million.

    The text of a number is ``str`` of its float32.
    """
    rows = max(1, _BLOCK // vectors.shape[1])
    blocks = (vectors[start : start + rows] for start in range(0, len(vectors), rows))
    return [text for block in blocks for text in _block_text(block)]


def _block_text(vectors: NDArray[np.float32]) -> list[str]:
    numbers = vectors.ravel()
    sizes = np.abs(numbers)
    # Those that are written as 0.…, with twelve decimals at most: nearly all of a unit vector's.
    plain = (sizes > np.float32(1e-4)) & (sizes < 1)
    units = _units(np.where(plain, sizes, np.float32(0.5)))
    high, last = np.divmod(units, _PART)
    first, middle = np.divmod(high, _PART)
    slots = np.empty((len(numbers), _SLOT // 4), dtype=np.uint32)
    slots[:, 0] = _SIGNS[np.signbit(numbers).astype(np.intp)]
    slots[:, 1] = _PARTS[first + _PART * ((middle == 0) & (last == 0))]
    slots[:, 2] = _PARTS[middle + _PART * (last == 0)]
    slots[:, 3] = _PARTS[last + _PART]
    text = slots.view(np.uint8)
    for position in np.flatnonzero(~plain):
        written = str(numbers[position]).encode().ljust(_SLOT - 1, b"\0")
        text[position, 1:] = np.frombuffer(written, dtype=np.uint8)
    rows = text.reshape(len(vectors), -1)
    rows[:, 0] = ord("[")
    return [row.tobytes().translate(None, b"\0").decode("ascii") + "]" for row in rows]


def _units(sizes: NDArray[np.float32]) -> NDArray[np.int64]:
    """The shortest decimals of numbers in [0.0001, 1), in units of the twelfth decimal."""
    exact = sizes.astype(np.float64)
    zeros = (sizes < 0.1).astype(np.intp) + (sizes < 0.01) + (sizes < 0.001)
    units = np.empty(len(sizes), dtype=np.int64)
    left = np.arange(len(sizes))
    for digits in _DIGITS:
        decimals = zeros[left] + digits
        scale = _POWERS[decimals]
        rounded = np.rint(exact[left] * scale)
        # Reads back as the same: a quotient of exact numbers is rounded once, as a reader would.
        same = (rounded / scale).astype(np.float32) == sizes[left]
        units[left[same]] = rounded[same] * _POWERS[_DECIMALS - decimals[same]]
        left = left[~same]
    return units
