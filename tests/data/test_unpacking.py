"""Specification of `limbeck.data.unpacking`: compressed text files are read as if they weren't, and damaged ones refused."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from limbeck.data import unpacking
from limbeck.data.readers import read_rows
from limbeck.errors import DataError

ROWS = [{"domain": "a", "question": f"q{number}, é", "answer": str(number)} for number in range(200)]
JSON_LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
CSV = ("domain,question,answer\n" + "".join(f'{r["domain"]},"{r["question"]}",{r["answer"]}\n' for r in ROWS)).encode()


def pack_zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": pack_zstd, ".xz": lzma.compress}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.jsonl", JSON_LINES), ("rows.csv", CSV), ("rows.json", b"[" + b",".join(JSON_LINES.splitlines()) + b"]")],
)
def test_compressed_files_give_the_same_rows(tmp_path: Path, ending: str, name: str, content: bytes) -> None:
    """A text file that is compressed with gzip, Zstandard or xz gives the same rows, also in several parts after another."""
    path = tmp_path / (name + ending)
    path.write_bytes(PACKERS[ending](content))
    assert [row for _, row in read_rows(path)] == ROWS
    path.write_bytes(PACKERS[ending](content[:100]) + PACKERS[ending](content[100:]))
    assert [row for _, row in read_rows(path)] == ROWS


@pytest.mark.parametrize("ending", PACKERS)
def test_content_decides_not_the_name(tmp_path: Path, ending: str) -> None:
    """A plain file whose name says that it is compressed is read, and so is a compressed one whose name does not."""
    (tmp_path / f"rows.jsonl{ending}").write_bytes(JSON_LINES)
    (tmp_path / "rows.jsonl").write_bytes(PACKERS[ending](JSON_LINES))
    for name in (f"rows.jsonl{ending}", "rows.jsonl"):
        assert [row for _, row in read_rows(tmp_path / name)] == ROWS


@pytest.mark.parametrize("ending", PACKERS)
def test_cut_and_damaged_files_are_refused(tmp_path: Path, ending: str) -> None:
    """A compressed file that is cut or damaged is an error that names it; its first rows are not taken for all of them."""
    path, packed = tmp_path / f"rows.jsonl{ending}", PACKERS[ending](JSON_LINES)
    for content in (packed[: len(packed) // 2], packed[:-1], packed[:40] + bytes(40) + packed[80:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"rows\.jsonl\.\w+: the \w+ content is damaged or cut"):
            list(read_rows(path))


@pytest.mark.parametrize("ending", PACKERS)
def test_files_that_unpack_to_too_much(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to more than the limit is an error; it never fills the memory."""
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", 5_000_000)
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(PACKERS[ending](b"\n" * 6_000_000))
    with pytest.raises(DataError, match="unpacks to more than 5,000,000 bytes"):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["rows.tar.gz", "rows.gz", "rows.parquet.gz", "rows.txt.xz"])
def test_only_text_files_may_be_compressed(tmp_path: Path, name: str) -> None:
    """Another compressed file is an unknown format, and the message lists what is read."""
    (tmp_path / name).write_bytes(gzip.compress(JSON_LINES))
    with pytest.raises(
        DataError, match=r"unknown file format; expected a \.jsonl, .* \(text files also with \.gz, \.zst, \.xz\)"
    ):
        list(read_rows(tmp_path / name))
