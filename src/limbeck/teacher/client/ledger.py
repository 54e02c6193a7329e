"""The ledger: one SQLite row per request and attempt; the only journal of what was asked and paid.

The intent is durable before the request leaves, the reply before it is used. A crash leaves intents behind; the next
process finds them, marks them `unknown` (they may have been paid), counts them as spent and asks again once. A request
whose reply was lost on the way (a time-out, a dropped connection, a cut body) is `unknown` too.

Writes are committed in groups: whatever is to be written while a commit is under way goes into the next one, in a thread of
its own, so that durability costs a few commits for hundreds of requests in flight and the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
GROUP_S = 0.002  # how long a commit waits for company once many writes come together
CROWD = 8  # so many writes in the last commit are a crowd
# What an attempt has cost: its own figures where it was answered, all that was reserved where nobody knows.
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


@dataclass(frozen=True)
class LedgerRow:
    """One attempt of one request.

    Attributes:
        key: of the request; attempts of one request share it.
        attempt: from 1.
        purpose, stage, domain, example_ids: what it was for.
        state: ``intent`` (in flight), ``done``, ``failed``, or ``unknown`` (its reply was lost; it counts as spent).
        model, finish_reason: as the teacher gave them.
        prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_usd: what it cost, once that is known.
        sent_at, done_at: seconds since 1970.
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
        """The attempt of a row that `Ledger.list_requests` gives."""
        values = {field.name: row[field.name] for field in fields(cls)}
        values["example_ids"] = tuple(json.loads(row["example_ids"]))
        values["request"] = json.loads(row["request"])
        values["reply"] = None if row["reply"] is None else json.loads(row["reply"])["text"]
        return cls(**values)


class Ledger:
    """The open ledger of one run folder. One process at a time (the run folder's lock sees to it).

    Raises:
        DataError: it is only to be read and is not there.
        StorageError: it can't be opened, or its pages are damaged; it is left as it is.
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
                    # Its process ended between making the file and making the table: nothing was asked yet.
                    self._db = sqlite3.connect(":memory:", isolation_level=None)
                    self._db.execute(_SCHEMA)
            else:
                self._db = self._connect()
                self._prepare()

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
        """Close the database once what is being written is written; the ledger can't be used after that."""
        if self._thread is not None:
            self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()
        self._db.close()

    def mark_unknown(self) -> int:
        """Turn the intents that an earlier process left behind into `unknown`; returns how many there were."""
        with self._translate_errors():
            return self._db.execute("UPDATE requests SET state = 'unknown' WHERE state = 'intent'").rowcount

    def read_reply(self, key: str) -> Reply | None:
        """The stored reply of a request, or None where none was ever stored."""
        with self._translate_errors():
            row = self._db.execute("SELECT reply FROM requests WHERE key = ? AND state = 'done'", (key,)).fetchone()
        return Reply(**json.loads(row[0])) if row else None

    def count_attempts(self, key: str) -> Counter[str]:
        """How many attempts of a request that left this machine are in each state."""
        with self._translate_errors():
            query = "SELECT state, COUNT(*) FROM requests WHERE key = ? AND is_sent GROUP BY state"
            return Counter(dict(self._db.execute(query, (key,)).fetchall()))

    async def write_intent(self, request: TeacherRequest, most: Spend) -> int:
        """Note durably that a request is about to leave; returns its attempt number (from 1)."""
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
        """Note durably that an attempt brought no reply; one that may have been paid is `unknown`, not `failed`."""
        state = "unknown" if error.is_maybe_paid else "failed"
        row = (state, str(error), time.time(), not error.is_unsent, request.key, attempt)
        await self._write(lambda db: db.execute(_FAILURE, row), request)

    async def drain(self) -> None:
        """Wait until all that was to be written is."""
        while self._committing is not None and not self._committing.done():
            await asyncio.wait([self._committing])

    async def _write(self, write: Callable[[sqlite3.Connection], Any], request: TeacherRequest) -> Any:  # noqa: ANN401
        """Have something written with the next commit, and wait until it is durable."""
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
            raise StorageError(f"{error} In flight was the request ({place}); it is asked again.") from error

    async def _commit_waiting(self) -> None:
        """Commit all that waits, group by group, until nothing does."""
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
                for _, done in group:  # whoever waits must hear of it, whatever it is
                    if not done.done():
                        done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue  # what came meanwhile is to be written all the same
            for (_, done), result in zip(group, results, strict=True):
                if not done.done():
                    done.set_result(result)

    def _commit(self, writes: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        """Make one group durable, all of it or nothing. Runs in the ledger's thread, which has its own connection."""
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
        """How many replies each model gave, by the name that came back with them."""
        with self._translate_errors():
            query = "SELECT model, COUNT(*) FROM requests WHERE state = 'done' GROUP BY model ORDER BY COUNT(*) DESC, model"
            return dict(self._db.execute(query).fetchall())

    def sum_spend(self) -> Spend:
        """All that was ever spent in this run; an unknown attempt counts with all that was reserved for it."""
        with self._translate_errors():
            requests, tokens, cost = self._db.execute(_SPENT).fetchone()
        return Spend(requests, tokens, cost)

    def summarize(self) -> list[dict[str, Any]]:
        """One line per purpose, stage and domain: attempts by state, tokens, money."""
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
        """Every attempt in the order sent, of the given states only (all where none are given)."""
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
                f"{self.path}: the ledger can't be read or written: {error}. Nothing that was stored before is lost; "
                "make space, mend the folder or restore the file, and run the same command again."
            ) from error
