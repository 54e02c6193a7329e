"""Atomic file writes, and one-line errors for full or read-only disks."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from limbeck.errors import DataError, StorageError
from limbeck.hashing import canonical_json

T = TypeVar("T")


class HasJson(Protocol):
    """Anything that can be written as one line of a JSONL file."""

    def to_json(self) -> dict[str, Any]:
        """The line's object."""
        ...


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, make it durable, and rename it into place.

    Raises:
        StorageError: the disk is full, the folder is read-only or the like; the old file, if any, is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with explain_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file's lock, waiting while another process has it.

    Raises:
        StorageError: the file can't be created.
    """
    held = FileLock(path)
    with explain_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds a file's lock.

    It shares the lock for a moment, so that two processes that look at once do not take each other for a holder.

    Raises:
        OSError: the file can't be read, or its file system has no locks.
    """
    if os.name == "nt":  # without shared locks
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _sync(path: Path) -> None:
    if os.name == "nt":  # Windows can't open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explain_storage(path: Path) -> Iterator[None]:
    """Turn an operating-system error into one line with the place, the free space and the remedy."""
    try:
        yield
    except StorageError:
        raise
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in _STORAGE_ERRORS:
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StorageError(
            f"{path} can't be written: {reason} ({_describe_space(path)}). What is already stored is kept; "
            "free disk space or fix the folder, then run the same command again."
        ) from error


_STORAGE_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EFBIG,
        errno.EIO,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
    }
)


def _describe_space(path: Path) -> str:
    existing = next((place for place in path.absolute().parents if place.exists()), Path("/"))
    return f"{shutil.disk_usage(existing).free / 2**20:,.0f} MiB free"


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, indented."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[HasJson | Mapping[str, Any]]) -> None:
    """Write one canonical JSON object per line; the same rows give the same bytes."""
    lines = (canonical_json(row if isinstance(row, Mapping) else row.to_json()) for row in rows)
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_json(path: Path) -> Any:  # noqa: ANN401 (whatever was written)
    """Read what `write_json` wrote.

    Raises:
        DataError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read what `write_jsonl` wrote.

    Raises:
        DataError: the file is missing or not JSON Lines.
    """
    try:
        return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error


def read_records(path: Path, make: Callable[[dict[str, Any]], T]) -> list[T]:
    """Read the records that `write_jsonl` wrote.

    Raises:
        DataError: the file is missing or not JSON Lines, or its rows have another form.
    """
    rows = read_json_lines(path)
    try:
        return [make(row) for row in rows]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: a row does not have the form that limbeck writes: {error!r}") from error


def read_record(path: Path, make: Callable[[dict[str, Any]], T], remedy: str) -> T:
    """Read the record that `write_json` wrote as an object.

    Args:
        path: of the file.
        make: turns the object into a record.
        remedy: what the user can do about a file of another form.

    Raises:
        DataError: the file is missing, not JSON, not an object, or has another form.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object, found {type(value).__name__}; {remedy}")
    try:
        return make(value)
    except KeyError as error:
        raise DataError(f"{path}: the key {error} is missing; {remedy}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: the file does not have the form that limbeck writes: {error!r}; {remedy}") from error


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder next to `folder`, then replace `folder` with it.

    Raises:
        StorageError: see `write_text`; the old folder, if any, is untouched unless the final replacement fails.
    """
    with explain_storage(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            write(temporary)
            temporary.chmod(0o755)
            for file in temporary.rglob("*"):
                if file.is_file():
                    file.chmod(0o644)
                    _sync(file)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
