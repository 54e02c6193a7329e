"""The run folder: files are written atomically, and a full or read-only disk loses nothing and is reported in one line."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import make_example

from limbeck.data.example import Example, Provenance
from limbeck.errors import ConfigError, DataError, StorageError
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.stage import StageFolder, count_domain
from limbeck.system.files import read_json, read_json_lines, read_records, write_folder, write_json, write_jsonl, write_text
from limbeck.teacher.client.budget import Spend
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.request import About, TeacherRequest


def test_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    """A file that does not fit leaves the old one intact and no partial one; the error names path, space and remedy."""
    write_text(small_disk / "run.json", "old")
    with pytest.raises(
        StorageError, match=r"run\.json can't be written: No space left on device .*MiB free.*free disk space"
    ) as caught:
        write_text(small_disk / "run.json", "x" * 2_000_000)
    assert caught.value.exit_code == 3
    assert (small_disk / "run.json").read_text() == "old"
    assert [path.name for path in small_disk.iterdir()] == ["run.json"]


def test_full_disk_during_a_ledger_write_loses_nothing_stored(small_disk: Path) -> None:
    """If the ledger's disk is full, the next intent fails before anything is sent, and stored requests remain."""
    ledger = Ledger(small_disk / "ledger.sqlite")
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 5}, About("annotate", 0, "d"))
    asyncio.run(ledger.write_intent(request, Spend(1, 22, 0.0)))
    big = TeacherRequest("m", ({"role": "user", "content": "q" * 3_000_000},), {"max_tokens": 5}, About("annotate", 0, "d"))
    with pytest.raises(
        StorageError, match=r"the ledger can't be .* The request in flight \(annotate, stage 0, domain 'd', key"
    ):
        asyncio.run(ledger.write_intent(big, Spend(1, 22, 0.0)))
    assert [row["key"] for row in ledger.list_requests()] == [request.key]
    ledger.close()


def test_full_disk_keeps_the_old_weights(small_disk: Path) -> None:
    """A student that does not fit leaves the old one intact, whichever library reports the full disk."""
    import torch
    from safetensors.torch import save_file

    write_folder(small_disk / "student", lambda folder: save_file({"w": torch.zeros(10)}, folder / "model.safetensors"))
    before = (small_disk / "student" / "model.safetensors").read_bytes()
    with pytest.raises(StorageError, match="student can't be written"):
        write_folder(small_disk / "student", lambda folder: save_file({"w": torch.zeros(10**6)}, folder / "model.safetensors"))
    assert (small_disk / "student" / "model.safetensors").read_bytes() == before
    assert [path.name for path in small_disk.iterdir()] == ["student"]


def test_failed_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while syncing new content to disk leaves the old file in place."""
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
    """A run folder path that is a file is a one-line storage error."""
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageError, match="can't be written"), RunFolder.open(tmp_path / "run"):
        pass


def test_the_lock_holds_and_ends_with_its_holder(tmp_path: Path) -> None:
    """Only one opener at a time can hold a folder, and closing it frees it."""
    with (
        RunFolder.open(tmp_path / "run"),
        pytest.raises(ConfigError, match=f"in use by pid {os.getpid()}"),
        RunFolder.open(tmp_path / "run"),
    ):
        pass
    with RunFolder.open(tmp_path / "run"):
        pass


def test_a_look_at_the_lock_refuses_nobody(tmp_path: Path) -> None:
    """A folder can be opened while another process briefly checks whether it is held."""
    with RunFolder.open(tmp_path / "run"):
        pass
    look = (tmp_path / "run" / "lock").open()
    fcntl.flock(look, fcntl.LOCK_SH)
    threading.Timer(0.03, look.close).start()
    with RunFolder.open(tmp_path / "run") as folder:
        assert folder.is_held


def test_two_looks_at_a_lock_do_not_see_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that nobody holds is not held, however many processes look at its lock at once; a held one is to all."""
    folder, seen = RunFolder(tmp_path / "run"), list[bool]()
    flock = fcntl.flock

    def look_too(file: object, operation: int) -> None:
        flock(file, operation)  # type: ignore[arg-type]
        if not seen:  # the first look holds its lock while the second one begins
            seen.append(True)
            seen.append(folder.is_held)

    with RunFolder.open(folder.path):
        assert folder.is_held
        assert folder.is_held
    monkeypatch.setattr(fcntl, "flock", look_too)
    assert not folder.is_held
    assert seen == [True, False]


def test_a_look_at_the_lock_needs_no_right_to_write(tmp_path: Path) -> None:
    """Whether a folder is held can be told from a lock file that can only be read."""
    with RunFolder.open(tmp_path / "run"):
        (tmp_path / "run" / "lock").chmod(0o444)
        assert RunFolder(tmp_path / "run").is_held
    assert not RunFolder(tmp_path / "run").is_held


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    """Text with Unicode line separators is read back unchanged."""
    rows = [{"text": "one\u2028two\u2029three\u0085four\x0bfive"}, {"text": "next"}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert read_json_lines(tmp_path / "a.jsonl") == rows


def test_records_of_another_form_are_a_data_error(tmp_path: Path) -> None:
    """A damaged record file of a run folder is a data error that names it."""
    write_jsonl(tmp_path / "examples.jsonl", [{"id": "x"}])
    with pytest.raises(DataError, match=r"examples\.jsonl: a row does not have the form"):
        read_records(tmp_path / "examples.jsonl", Example.from_json)


def test_the_kinds_of_a_domain_partition_its_examples() -> None:
    """Each kept example counts once: as real, as synthesized, or as a repeat of either."""
    real, invented = (make_example("a", provenance=Provenance(kind)) for kind in ("real", "synthesized"))
    copies = [each.but(provenance=replace(each.provenance, copy=copy)) for each in (real, invented) for copy in (1, 2)]
    facts = count_domain([real, invented, *copies], 6)
    assert (facts["real"], facts["synthesized"], facts["duplicates"]) == (1, 1, 4)


def die_at_zero(delete: Callable[..., None], left: Iterator[int]) -> Callable[..., None]:
    """Deletes, or raises an interruption instead once the countdown reaches zero."""

    def maybe(*arguments: object) -> None:
        if next(left, 1) == 0:
            raise KeyboardInterrupt
        delete(*arguments)

    return maybe


def test_an_interrupted_restart_is_still_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a restart of a cut-short stage dies at any deletion, the stage restarts again and never keeps a stale student."""
    for deaths in range(1, 6):
        folder = tmp_path / f"stage_{deaths}"
        (folder / "student").mkdir(parents=True)
        write_jsonl(folder / "scores.jsonl", [])
        write_jsonl(folder / "rejected.jsonl", [])
        write_jsonl(folder / "examples.jsonl", [])
        write_json(folder / "quotas.json", {"is_cut_short": True})
        left = iter(range(deaths - 1, -1, -1))  # the last deletion that starts finds 0
        with monkeypatch.context() as patch:
            for owner, name in ((Path, "unlink"), (shutil, "rmtree")):
                patch.setattr(owner, name, die_at_zero(getattr(owner, name), left))
            with contextlib.suppress(KeyboardInterrupt):
                StageFolder(folder).restart()
        stage = StageFolder(folder)
        assert not stage.is_collected
        assert stage.is_cut_short or not stage.student.exists()
        assert (folder / "scores.jsonl").exists()


def test_a_lock_of_a_dead_process_is_stale(tmp_path: Path) -> None:
    """A lock file left by a killed process blocks nobody, and then names its new holder."""
    (tmp_path / "lock").write_text("pid 999999 on elsewhere")
    with RunFolder.open(tmp_path) as folder:
        assert folder.is_held
        assert (tmp_path / "lock").read_text().startswith(f"pid {os.getpid()} on ")
    assert not RunFolder(tmp_path).is_held
