"""Opens files that may be compressed (gzip, Zstandard, xz), within a limit on their unpacked size."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from limbeck.errors import DataError

MAX_UNPACKED_BYTES = 64 * 2**30
COMPRESSED = (".gz", ".zst", ".xz")
"""The endings that may follow the ending of a text file, as in ``rows.jsonl.gz``."""

_MARKS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "Zstandard", b"\xfd7zXZ\x00": "xz"}


class _Limited(io.RawIOBase):
    """A stream that fails after `MAX_UNPACKED_BYTES`: a small file can unpack to a disk full of zeros."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path, self._count = stream, path, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._stream.read(len(buffer))
        self._count += len(chunk)
        if self._count > MAX_UNPACKED_BYTES:
            raise DataError(f"{self._path}: unpacks to more than {MAX_UNPACKED_BYTES:,} bytes; split the file")
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; what is compressed, by its first bytes, is unpacked.

    Raises:
        DataError: the file can't be read, its compressed content is damaged or cut, or it unpacks to too much.
    """
    kind = ""
    try:
        with path.open("rb") as file:
            begin = file.read(6)
            kind = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), "")
            file.seek(0)
            if not kind:
                yield file
                return
            with _unpack(file, kind) as stream:
                yield cast(BinaryIO, io.BufferedReader(_Limited(stream, path), 2**20))
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the {kind or 'compressed'} content is damaged or cut: {error}") from error
    except OSError as error:
        what = f"the {kind} content is damaged or cut: " if kind and error.errno is None else ""
        raise DataError(f"{path}: {what}{error.strerror or error}") from error


def _unpack(file: BinaryIO, kind: str) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if kind == "xz":
        return cast(BinaryIO, lzma.LZMAFile(file))
    from pyarrow import CompressedInputStream, PythonFile

    return cast(BinaryIO, CompressedInputStream(PythonFile(file, mode="r"), "zstd"))
