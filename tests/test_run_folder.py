"""The run folder: files appear whole, and a full or read-only disk loses nothing and is said in one line."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from limbeck.errors import ConfigError, StorageError
from limbeck.run_folder import RunFolder
from limbeck.storage import read_json, write_folder, write_json, write_jsonl, write_text
from limbeck.teacher.budget import Spend
from limbeck.teacher.ledger import Ledger
from limbeck.teacher.request import About, TeacherRequest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    """A file that does not fit leaves the old one whole and no half-written one, and the error names path, space and remedy."""
    write_text(small_disk / "run.json", "old")
    with pytest.raises(
        StorageError, match=r"run\.json can't be written: No space left on device .*MiB free.*make space"
    ) as caught:
        write_text(small_disk / "run.json", "x" * 2_000_000)
    assert caught.value.exit_code == 3
    assert (small_disk / "run.json").read_text() == "old"
    assert [path.name for path in small_disk.iterdir()] == ["run.json"]


def test_full_disk_during_a_ledger_write_loses_nothing_stored(small_disk: Path) -> None:
    """When the ledger's disk is full the next intent is refused before anything is sent, and what was stored is there."""
    ledger = Ledger(small_disk / "ledger.sqlite")
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 5}, About("annotate", 0, "d"))
    ledger.write_intent(request, Spend(1, 22, 0.0))
    big = TeacherRequest("m", ({"role": "user", "content": "q" * 3_000_000},), {"max_tokens": 5}, About("annotate", 0, "d"))
    with pytest.raises(StorageError, match="the ledger can't be"):
        ledger.write_intent(big, Spend(1, 22, 0.0))
    assert [row["key"] for row in ledger.list_requests()] == [request.key]
    ledger.close()


def test_full_disk_keeps_the_old_weights(small_disk: Path) -> None:
    """A student that does not fit leaves the old one whole, whoever reports the full disk."""
    import torch
    from safetensors.torch import save_file

    write_folder(small_disk / "student", lambda folder: save_file({"w": torch.zeros(10)}, folder / "model.safetensors"))
    before = (small_disk / "student" / "model.safetensors").read_bytes()
    with pytest.raises(StorageError, match="student can't be written"):
        write_folder(small_disk / "student", lambda folder: save_file({"w": torch.zeros(10**6)}, folder / "model.safetensors"))
    assert (small_disk / "student" / "model.safetensors").read_bytes() == before
    assert [path.name for path in small_disk.iterdir()] == ["student"]


def test_failed_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while the new content is made durable leaves the old file in place."""
    write_json(tmp_path / "a.json", {"n": 1})

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError):
        write_json(tmp_path / "a.json", {"n": 2})
    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    """JSONL is canonical: key order does not matter and non-ASCII text stays readable."""
    write_jsonl(tmp_path / "a.jsonl", [{"b": "ŷ", "a": 1}])
    write_jsonl(tmp_path / "b.jsonl", [{"a": 1, "b": "ŷ"}])
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes() == '{"a":1,"b":"ŷ"}\n'.encode()


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    """A run folder path that is a file is a storage error of one line."""
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageError, match="can't be written"), RunFolder.open(tmp_path / "run"):
        pass


def test_the_lock_holds_and_ends_with_its_holder(tmp_path: Path) -> None:
    """A folder is held by one opener at a time, and free again when it is closed."""
    with (
        RunFolder.open(tmp_path / "run"),
        pytest.raises(ConfigError, match=f"in use by pid {os.getpid()}"),
        RunFolder.open(tmp_path / "run"),
    ):
        pass
    with RunFolder.open(tmp_path / "run"):
        pass
