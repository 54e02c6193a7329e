"""Shares replies between runs: once one run has a reply, the others do not ask for it again.

A wrapper around a real backend, with one SQLite file for all runs of a comparison. It sits below the ledger, so each run
still charges its own budget in full for every reply, as if it ran alone; only the teacher is asked once. A run claims a
request before it sends it; a run that needs the same request meanwhile waits for that reply.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from limbeck.errors import StorageError
from limbeck.hashing import canonical_json
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    reply TEXT,
    claimed_by TEXT,
    claimed_until REAL,
    sent INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""
# Claims the request unless its reply is stored or another run has an unexpired claim.
_CLAIM = """
INSERT INTO replies (key, claimed_by, claimed_until, sent) VALUES (?, ?, ?, 1)
ON CONFLICT (key) DO UPDATE SET claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until, sent = sent + 1
WHERE reply IS NULL AND (claimed_by IS NULL OR claimed_until < ?)
"""
_RELEASE = "UPDATE replies SET claimed_by = NULL, sent = sent - ? WHERE key = ? AND claimed_by = ?"
GRACE_S = 30.0  # on top of an attempt's time-out; after that, the claiming process must have died
BUSY_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.02, 1.0


class SharedBackend(Backend):
    """A backend that keeps replies in a file and looks there first; see the module docstring.

    Args:
        backend: the backend that sends requests. Its replies must depend only on the request as sent, not on its `about`.
        path: the file, created if missing; any number of processes may have it open.
        timeout_s: how long one attempt may take, in seconds.

    Raises:
        StorageError: the file can't be opened, read or written.
    """

    def __init__(self, backend: Backend, path: Path, timeout_s: float) -> None:
        self.backend, self.hashes, self._path, self._lease_s = backend, backend.hashes, path, timeout_s + GRACE_S
        self._me = f"{socket.gethostname()}/{os.getpid()}/{time.time_ns()}"
        self._db: sqlite3.Connection | None = None

    async def send(self, request: TeacherRequest) -> Reply:
        """Return the stored reply; if there is none and no other run is getting it, ask the backend and store its reply."""
        key, wait_s = request.key, FIRST_WAIT_S
        while True:
            stored = self._find(key)
            if stored is not None:
                return stored
            if self._change(_CLAIM, key, self._me, time.time() + self._lease_s, time.time()):
                break
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        try:
            reply = await self.backend.send(request)
        except BackendError as failure:
            self._change(_RELEASE, int(failure.is_unsent), key, self._me)
            raise
        except BaseException:
            self._change(_RELEASE, 0, key, self._me)
            raise
        text = canonical_json(asdict(reply))
        self._change("UPDATE replies SET reply = ?, claimed_by = NULL WHERE key = ? AND reply IS NULL", text, key)
        return reply

    def can_answer(self, about: About) -> bool:
        """Whether the wrapped backend can answer."""
        return self.backend.can_answer(about)

    async def check(self) -> str:
        """Check the wrapped backend."""
        return await self.backend.check()

    async def close(self) -> None:
        """Close the backend and the file."""
        await self.backend.close()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _find(self, key: str) -> Reply | None:
        with _explain(self._path):
            row = self._open().execute("SELECT reply FROM replies WHERE key = ? AND reply IS NOT NULL", (key,)).fetchone()
        return Reply(**json.loads(row[0])) if row else None

    def _change(self, statement: str, *values: object) -> int:
        with _explain(self._path):
            return self._open().execute(statement, values).rowcount

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = open_replies(self._path)
        return self._db


def open_replies(path: Path) -> sqlite3.Connection:
    """Open the file of shared replies; create it if it is missing."""
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")  # each run's own ledger makes a reply durable before it is used
    db.execute(_SCHEMA)
    return db


def count_shared(path: Path) -> dict[str, int]:
    """Count what was really asked of the teacher: ``requests`` sent (failed ones too), ``replies``, and the replies' tokens."""
    counts = {"requests": 0, "replies": 0, "prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    if not path.exists():
        return counts
    with _explain(path):
        db = open_replies(path)
        try:
            rows = db.execute("SELECT sent, reply FROM replies").fetchall()
        finally:
            db.close()
    for sent, text in rows:
        reply = json.loads(text) if text else {}
        counts["requests"] += sent
        counts["replies"] += bool(reply)
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
            counts[name] += reply.get(name, 0)
    return counts


@contextmanager
def _explain(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"{path}: the shared replies can't be read or written: {error}. Free disk space or repair the folder, then run the "
            "same command again; if you delete the file, its requests are sent to the teacher again."
        ) from error
