"""The ledger: one SQLite row per attempt of a request; the only record of what was asked and paid.

The intent is durable before the request is sent, and the reply before it is used. A crash leaves intents behind. The next
process finds them, marks them `unknown` (they may have been paid), counts them as spent and asks again once. A request
whose reply was lost (a timeout, a dropped connection, a truncated body) is `unknown` too.

Writes are committed in groups, in a separate thread: everything that arrives during a commit goes into the next one. So
durability costs a few commits for hundreds of requests in flight, and the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from limbeck.errors import DataError, StorageError
from limbeck.hashing import canonical_json
from limbeck.teacher.client.budget import Spend
from limbeck.teacher.request import BackendError, Reply, TeacherRequest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    stage INTEGER,
    domain TEXT,
    example_ids TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'failed', 'unknown')),
    request TEXT NOT NULL,
    reply TEXT,
    model TEXT,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost_usd REAL,
    sent_at REAL NOT NULL,
    done_at REAL,
    error TEXT,
    reserved_tokens INTEGER NOT NULL,
    reserved_usd REAL NOT NULL,
    is_sent INTEGER NOT NULL DEFAULT 1,
    reasoning_tokens INTEGER,
    cached_tokens INTEGER,
    PRIMARY KEY (key, attempt)
) WITHOUT ROWID
"""
GROUP_S = 0.002  # how long a commit waits for more writes after a large one
CROWD = 8  # writes that make a commit a large one
# The cost of an attempt: its own figures if it was answered, its whole reservation if its cost is unknown.
_SPENT = """
SELECT COALESCE(SUM(is_sent), 0),
       COALESCE(SUM(CASE WHEN state IN ('intent', 'unknown') THEN reserved_tokens
                         ELSE COALESCE(prompt_tokens, 0) + COALESCE(completion_tokens, 0) END), 0),
       COALESCE(SUM(CASE WHEN state IN ('intent', 'unknown') THEN reserved_usd ELSE COALESCE(cost_usd, 0) END), 0)
FROM requests
"""
_INTENT = """
INSERT INTO requests (key, attempt, purpose, stage, domain, example_ids, state, request, sent_at, reserved_tokens, reserved_usd)
VALUES (?, (SELECT COUNT(*) + 1 FROM requests WHERE key = ?), ?, ?, ?, ?, 'intent', ?, ?, ?, ?)
RETURNING attempt
"""
_REPLY = """
UPDATE requests SET state = 'done', reply = ?, model = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?,
reasoning_tokens = ?, cached_tokens = ?, cost_usd = ?, done_at = ? WHERE key = ? AND attempt = ?
"""
_FAILURE = "UPDATE requests SET state = ?, error = ?, done_at = ?, is_sent = ? WHERE key = ? AND attempt = ?"


def _list_columns(db: sqlite3.Connection) -> set[str]:
    return {row[1] for row in db.execute("PRAGMA table_info(requests)")}


@dataclass(frozen=True)
class LedgerRow:
    """One attempt of one request.

    Attributes:
        key: the request's key, which all its attempts share.
        attempt: number of the attempt, from 1.
        purpose, stage, domain, example_ids: what it was for.
        state: ``intent`` (in flight), ``done``, ``failed``, or ``unknown`` (its reply was lost; it counts as spent).
        model, finish_reason: as the teacher gave them.
        prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_usd: what it cost, once known.
        sent_at, done_at: Unix times in seconds.
        request: the body as sent.
        reply: the reply's text, or None.
        error: why there is no reply.
    """

    key: str
    attempt: int
    purpose: str
    stage: int | None
    domain: str | None
    example_ids: tuple[str, ...]
    state: str
    model: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None
    cost_usd: float | None
    sent_at: float
    done_at: float | None
    request: Mapping[str, Any]
    reply: str | None
    error: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> LedgerRow:
        """Build it from a row of `Ledger.list_requests`."""
        values = {field.name: row[field.name] for field in fields(cls)}
        values["example_ids"] = tuple(json.loads(row["example_ids"]))
        values["request"] = json.loads(row["request"])
        values["reply"] = None if row["reply"] is None else json.loads(row["reply"])["text"]
        return cls(**values)


class Ledger:
    """The ledger of one run folder, open in one process at a time (the run folder's lock ensures it).

    Raises:
        DataError: it is opened read-only and does not exist, or its columns are not those that this version writes.
        StorageError: it can't be opened, or its pages are damaged; the file is left as it is.
    """

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        self.path = path
        self._waiting: list[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._writer: sqlite3.Connection | None = None
        with self._translate_errors():
            if is_read_only:
                if not path.exists():
                    raise DataError(f"{path}: no ledger here")
                self._db = sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True, isolation_level=None)
                if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchone():
                    # The process that made the file died before it made the table: nothing was asked yet.
                    self._db = sqlite3.connect(":memory:", isolation_level=None)
                    self._db.execute(_SCHEMA)
            else:
                self._db = self._connect()
                self._prepare()
            self._check_columns()

    def _check_columns(self) -> None:
        """Refuse a ledger of another form at once: a reply that can't be stored would be paid in vain.

        Raises:
            DataError: the message lists the columns that differ.
        """
        with closing(sqlite3.connect(":memory:")) as empty:
            empty.execute(_SCHEMA)
            ours = _list_columns(empty)
        found = _list_columns(self._db)
        if found != ours:
            self._db.close()
            parts = {"missing": ours - found, "unknown": found - ours}
            different = "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in parts.items() if names)
            raise DataError(
                f"{self.path}: the ledger does not have the columns that this version of limbeck writes; {different}. "
                "It may be from another version; choose another --out"
            )

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        return db

    def _prepare(self) -> None:
        damage = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(f"damaged pages ({' '.join(str(damage).split())})")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Close the database after any write in progress; the ledger can't be used afterwards."""
        if self._thread is not None:
            self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()
        self._db.close()

    def mark_unknown(self) -> int:
        """Mark the intents left by an earlier process as `unknown`; returns how many there were."""
        with self._translate_errors():
            return self._db.execute("UPDATE requests SET state = 'unknown' WHERE state = 'intent'").rowcount

    def read_reply(self, key: str) -> Reply | None:
        """The stored reply of a request, or None if there is none."""
        with self._translate_errors():
            row = self._db.execute("SELECT reply FROM requests WHERE key = ? AND state = 'done'", (key,)).fetchone()
        return Reply(**json.loads(row[0])) if row else None

    def count_attempts(self, key: str) -> Counter[str]:
        """How many sent attempts of a request are in each state."""
        with self._translate_errors():
            query = "SELECT state, COUNT(*) FROM requests WHERE key = ? AND is_sent GROUP BY state"
            return Counter(dict(self._db.execute(query, (key,)).fetchall()))

    async def write_intent(self, request: TeacherRequest, most: Spend) -> int:
        """Record durably that a request is about to be sent; returns its attempt number (from 1)."""
        about = request.about
        ids = canonical_json([example.id for example in about.examples])
        row = (
            request.key,
            request.key,
            about.purpose,
            about.stage,
            about.domain,
            ids,
            canonical_json(request.body),
            time.time(),
            most.tokens,
            most.cost_usd,
        )
        return int(await self._write(lambda db: db.execute(_INTENT, row).fetchone()[0], request))

    async def write_reply(self, request: TeacherRequest, attempt: int, reply: Reply, cost_usd: float | None) -> None:
        """Store a reply durably."""
        row = (
            canonical_json(asdict(reply)),
            reply.model,
            reply.finish_reason,
            reply.prompt_tokens,
            reply.completion_tokens,
            reply.reasoning_tokens,
            reply.cached_tokens,
            cost_usd,
            time.time(),
            request.key,
            attempt,
        )
        await self._write(lambda db: db.execute(_REPLY, row), request)

    async def write_failure(self, request: TeacherRequest, attempt: int, error: BackendError) -> None:
        """Record durably that an attempt got no reply; one that may have been paid is `unknown`, not `failed`."""
        state = "unknown" if error.is_maybe_paid else "failed"
        row = (state, str(error), time.time(), not error.is_unsent, request.key, attempt)
        await self._write(lambda db: db.execute(_FAILURE, row), request)

    async def drain(self) -> None:
        """Wait until all pending writes are committed."""
        while self._committing is not None and not self._committing.done():
            await asyncio.wait([self._committing])

    async def _write(self, write: Callable[[sqlite3.Connection], Any], request: TeacherRequest) -> Any:  # noqa: ANN401
        """Queue a write for the next commit and wait until it is durable."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((write, done))
        if self._committing is None or self._committing.done():
            self._committing = loop.create_task(self._commit_waiting())
        try:
            return await done
        except StorageError as error:
            about = request.about
            place = f"{about.purpose}, stage {about.stage}, domain {about.domain!r}, key {request.key[:12]}"
            raise StorageError(f"{error} The request in flight ({place}) is then asked again.") from error

    async def _commit_waiting(self) -> None:
        """Commit all waiting writes, group by group, until none are left."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "ledger")
        loop, size = asyncio.get_running_loop(), 0
        while self._waiting:
            if size >= CROWD:
                await asyncio.sleep(GROUP_S)
            group, self._waiting = self._waiting, []
            size = len(group)
            try:
                results = await loop.run_in_executor(self._thread, self._commit, [write for write, _ in group])
            except BaseException as error:
                for _, done in group:  # every waiting writer must get the error, whatever it is
                    if not done.done():
                        done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue  # writes that arrived meanwhile still have to be committed
            for (_, done), result in zip(group, results, strict=True):
                if not done.done():
                    done.set_result(result)

    def _commit(self, writes: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        """Commit one group, all or nothing. Runs in the ledger's thread, which has its own connection."""
        with self._translate_errors():
            if self._writer is None:
                self._writer = self._connect()
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                results = [write(db) for write in writes]
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        return results

    def count_asked(self, purpose: str, domain: str, *, before_stage: int) -> int:
        """How many different requests of a purpose and domain the stages before `before_stage` made."""
        with self._translate_errors():
            query = "SELECT COUNT(DISTINCT key) FROM requests WHERE purpose = ? AND domain = ? AND stage < ?"
            return int(self._db.execute(query, (purpose, domain, before_stage)).fetchone()[0])

    def count_models(self) -> dict[str, int]:
        """How many replies each model gave, by the model name in the reply."""
        with self._translate_errors():
            query = "SELECT model, COUNT(*) FROM requests WHERE state = 'done' GROUP BY model ORDER BY COUNT(*) DESC, model"
            return dict(self._db.execute(query).fetchall())

    def sum_spend(self) -> Spend:
        """Everything this run has spent; an unknown attempt counts with its whole reservation."""
        with self._translate_errors():
            requests, tokens, cost = self._db.execute(_SPENT).fetchone()
        return Spend(requests, tokens, cost)

    def summarize(self) -> list[dict[str, Any]]:
        """One row per purpose, stage and domain: attempts by state, tokens, cost."""
        columns = (
            "purpose",
            "stage",
            "domain",
            "requests",
            "done",
            "failed",
            "unknown",
            "prompt_tokens",
            "completion_tokens",
            "cost_usd",
        )
        with self._translate_errors():
            rows = self._db.execute(
                "SELECT purpose, stage, domain, SUM(is_sent), SUM(state = 'done'), SUM(state = 'failed'), "
                "SUM(state IN ('unknown', 'intent')), COALESCE(SUM(prompt_tokens), 0), "
                "COALESCE(SUM(completion_tokens), 0), COALESCE(SUM(cost_usd), 0) "
                "FROM requests GROUP BY purpose, stage, domain ORDER BY stage, purpose, domain"
            ).fetchall()
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def list_requests(self, states: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Every attempt in the given states (in any state if none are given), in the order sent."""
        marks = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        with self._translate_errors():
            cursor = self._db.execute(f"SELECT * FROM requests {marks} ORDER BY sent_at, key", tuple(states))  # noqa: S608
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(
                f"{self.path}: the ledger can't be read or written: {error}. What was stored before is unchanged; "
                "free disk space, fix the folder or restore the file, then run the same command again."
            ) from error
