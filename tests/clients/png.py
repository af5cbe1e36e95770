"""The top rows of a picture: enough of PNG (https://www.w3.org/TR/png-3/) for what Chromium writes, 8 bits a sample."""

from __future__ import annotations

import struct
import zlib


def top_pixels(png: bytes, rows: int) -> set[tuple[int, int, int]]:
    """Every colour, red, green and blue, in the first rows."""
    width, _, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind in {2, 6}) == (8, True)
    size = 3 if kind == 2 else 4
    raw = zlib.decompress(b"".join(_chunks(png, b"IDAT")))
    before, found = bytearray(width * size), set[tuple[int, int, int]]()
    for row in range(rows):
        start = row * (width * size + 1)
        line = bytearray(raw[start + 1 : start + 1 + width * size])
        _unfilter(raw[start], line, before, size)
        found.update(zip(line[::size], line[1::size], line[2::size], strict=True))
        before = line
    return found


def _chunks(png: bytes, name: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == name:
            found.append(png[at + 8 : at + 8 + length])
        at += length + 12
    return found


def _unfilter(kind: int, line: bytearray, before: bytearray, size: int) -> None:
    for i in range(len(line)):
        left, corner = (line[i - size], before[i - size]) if i >= size else (0, 0)
        up = before[i]
        guess = (0, left, up, (left + up) // 2, min((left, up, corner), key=lambda x: abs(left + up - corner - x)))
        line[i] = (line[i] + guess[kind]) & 255
