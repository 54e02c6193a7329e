"""The head of a GGUF file: its names and values, without the weights.

The `gguf` package reads a file as arrays, one for each token of the vocabulary, which takes seconds; a plan wants the
tokenizer alone.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def read_header(path: Path, prefix: str = "") -> dict[str, Any]:
    """The values whose name begins with `prefix`; arrays as lists.

    Raises:
        OSError: the file can't be read.
        ValueError: it is no GGUF file of a known version, or ends too early.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != MAGIC:
            raise ValueError(f"it begins with {data[:4]!r}, not {MAGIC!r}")
        reader = _Reader(data)
        version, _, count = reader.take("I"), reader.take("Q"), reader.take("Q")
        if version not in VERSIONS:
            raise ValueError(f"version {version} of the format; known are {VERSIONS}")
        found = {}
        for _ in range(count):
            name = reader.take_text()
            value = reader.take_value(reader.take("I"))
            if name.startswith(prefix):
                found[name] = value
        return found


class _Reader:
    """Takes values from the bytes one after the other."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._place = 4  # behind the magic

    def take(self, form: str, count: int = 1) -> Any:  # noqa: ANN401 (a number, or several)
        layout = f"<{count}{form}"
        try:
            values = struct.unpack_from(layout, self._data, self._place)
        except struct.error as error:
            raise ValueError(f"it ends at byte {len(self._data)}, within a value ({error})") from error
        self._place += struct.calcsize(layout)
        return values[0] if count == 1 else list(values)

    def take_text(self) -> str:
        size = self.take("Q")
        if size > len(self._data) - self._place:
            raise ValueError(f"it ends at byte {len(self._data)}, within a text of {size} bytes")
        text = self._data[self._place : self._place + size]
        self._place += size
        return text.decode("utf-8", "replace")

    def take_value(self, kind: int) -> Any:  # noqa: ANN401 (whatever is there)
        if kind == _STRING:
            return self.take_text()
        if kind == _ARRAY:
            inner, count = self.take("I"), self.take("Q")
            if inner == _ARRAY:
                raise ValueError("an array of arrays, which no tokenizer has")
            if count > len(self._data):
                raise ValueError(f"an array of {count} values in {len(self._data)} bytes")
            if inner in _FORMS:
                values = self.take(_FORMS[inner], count) if count else []
                return [values] if count == 1 else values
            return [self.take_value(inner) for _ in range(count)]
        if kind not in _FORMS:
            raise ValueError(f"a value of the unknown kind {kind}")
        return self.take(_FORMS[kind])
