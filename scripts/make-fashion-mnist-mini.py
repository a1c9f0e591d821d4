#!/usr/bin/env python3
"""Makes trainer/assets/fashion-mnist-mini from Debian's package dataset-fashion-mnist.

The first 600 training and 100 test images of each class, byte for byte, as one PNG per split. A row of the sheet is a
class and a column one of its images, in the order of the full set, so the sheet carries its own labels.
Needs nothing beyond Python: scripts/make-fashion-mnist-mini.py [folder of the full set] [folder to write]
"""

import gzip
import struct
import sys
import zlib
from pathlib import Path

SIDE = 28
CLASSES = 10
PER_CLASS = {"train": 600, "t10k": 100}
SHEETS = {"train": "train.png", "t10k": "test.png"}


def read_idx(path, dims):
    data = gzip.decompress(path.read_bytes())
    if data[:4] != bytes([0, 0, 8, dims]):
        sys.exit(f"{path} is not an IDX file of bytes with {dims} dimensions")
    return data[4 + 4 * dims :]


def sheet(images, labels, per_class):
    """The rows of pixels of the sheet."""
    rows = []
    for label in range(CLASSES):
        chosen = [i for i, other in enumerate(labels) if other == label][:per_class]
        for y in range(SIDE):
            starts = (image * SIDE * SIDE + y * SIDE for image in chosen)
            rows.append(b"".join(images[start : start + SIDE] for start in starts))
    return rows


def filtered(rows):
    """Each row behind the PNG filter that leaves the least sum of absolute differences, the usual rule of thumb."""
    above = bytes(len(rows[0]))
    for row in rows:
        left = b"\0" + row[:-1]
        corner = b"\0" + above[:-1]
        candidates = [
            row,
            bytes((x - a) & 255 for x, a in zip(row, left)),
            bytes((x - b) & 255 for x, b in zip(row, above)),
            bytes((x - (a + b) // 2) & 255 for x, a, b in zip(row, left, above)),
            bytes((x - paeth(a, b, c)) & 255 for x, a, b, c in zip(row, left, above, corner)),
        ]
        costs = [sum(min(x, 256 - x) for x in candidate) for candidate in candidates]
        best = costs.index(min(costs))
        yield bytes([best]) + candidates[best]
        above = row


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def png(rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    pixels = b"".join(deflate.compress(row) for row in filtered(rows)) + deflate.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def main(source="/usr/share/datasets/fashion-mnist", target=None):
    source = Path(source)
    target = Path(target or Path(__file__).parent.parent / "trainer/assets/fashion-mnist-mini")
    target.mkdir(parents=True, exist_ok=True)
    for split, name in SHEETS.items():
        images = read_idx(source / f"{split}-images-idx3-ubyte.gz", 3)
        labels = read_idx(source / f"{split}-labels-idx1-ubyte.gz", 1)
        data = png(sheet(images, labels, PER_CLASS[split]))
        (target / name).write_bytes(data)
        print(f"{target / name}: {len(data):,} bytes")


main(*sys.argv[1:])
