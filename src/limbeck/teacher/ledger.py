"""The ledger: one SQLite row per request and attempt; the only journal of what was asked and paid.

The intent is durable before the request leaves, the reply before it is used. A crash leaves intents behind; the next
process finds them, marks them `unknown` (they may have been paid), counts them as spent and asks again once. A request
whose reply was lost on the way (a time-out, a dropped connection, a cut body) is `unknown` too.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.data.example import canonical_json
from limbeck.errors import DataError, StorageError
from limbeck.teacher.budget import Spend
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
    PRIMARY KEY (key, attempt)
) WITHOUT ROWID
"""
# What an attempt has cost: its own figures where it was answered, all that was reserved where nobody knows.
_SPENT = """
SELECT COALESCE(SUM(is_sent), 0),
       COALESCE(SUM(CASE WHEN state IN ('intent', 'unknown') THEN reserved_tokens
                         ELSE COALESCE(prompt_tokens, 0) + COALESCE(completion_tokens, 0) END), 0),
       COALESCE(SUM(CASE WHEN state IN ('intent', 'unknown') THEN reserved_usd ELSE COALESCE(cost_usd, 0) END), 0)
FROM requests
"""


class Ledger:
    """The open ledger of one run folder. One process at a time (the run folder's lock sees to it)."""

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        self.path = path
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
                self._db = sqlite3.connect(path, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Close the database; the ledger can't be used after that."""
        self._db.close()

    def mark_unknown(self) -> int:
        """Turn the intents that an earlier process left behind into `unknown`; returns how many there were."""
        with self._translate_errors():
            return self._db.execute("UPDATE requests SET state = 'unknown' WHERE state = 'intent'").rowcount

    def find_reply(self, key: str) -> Reply | None:
        """The stored reply of a request, or None where none was ever stored."""
        with self._translate_errors():
            row = self._db.execute("SELECT reply FROM requests WHERE key = ? AND state = 'done'", (key,)).fetchone()
        return Reply(**json.loads(row[0])) if row else None

    def count_attempts(self, key: str) -> dict[str, int]:
        """How many attempts of a request are in each state."""
        with self._translate_errors():
            rows = self._db.execute("SELECT state, COUNT(*) FROM requests WHERE key = ? GROUP BY state", (key,))
            return dict(rows.fetchall())

    def write_intent(self, request: TeacherRequest, most: Spend) -> int:
        """Note durably that a request is about to leave; returns its attempt number (from 1)."""
        about = request.about
        ids = canonical_json([example.id for example in about.examples])
        with self._translate_errors():
            attempt = sum(self.count_attempts(request.key).values()) + 1
            self._db.execute(
                "INSERT INTO requests (key, attempt, purpose, stage, domain, example_ids, state, request, sent_at, "
                "reserved_tokens, reserved_usd) VALUES (?, ?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?)",
                (request.key, attempt, about.purpose, about.stage, about.domain, ids, canonical_json(request.body),
                 time.time(), most.tokens, most.cost_usd),
            )  # fmt: skip
        return attempt

    def write_reply(self, key: str, attempt: int, reply: Reply, cost_usd: float | None) -> None:
        """Store a reply durably."""
        with self._translate_errors():
            self._db.execute(
                "UPDATE requests SET state = 'done', reply = ?, model = ?, finish_reason = ?, prompt_tokens = ?, "
                "completion_tokens = ?, cost_usd = ?, done_at = ? WHERE key = ? AND attempt = ?",
                (canonical_json(asdict(reply)), reply.model, reply.finish_reason, reply.prompt_tokens,
                 reply.completion_tokens, cost_usd, time.time(), key, attempt),
            )  # fmt: skip

    def write_failure(self, key: str, attempt: int, error: BackendError) -> None:
        """Note durably that an attempt brought no reply; one that may have been paid is `unknown`, not `failed`."""
        state = "unknown" if error.is_maybe_paid else "failed"
        with self._translate_errors():
            self._db.execute(
                "UPDATE requests SET state = ?, error = ?, done_at = ?, is_sent = ? WHERE key = ? AND attempt = ?",
                (state, str(error), time.time(), not error.is_unsent, key, attempt),
            )

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
        columns = ("purpose", "stage", "domain", "requests", "done", "failed", "unknown", "prompt_tokens",
                   "completion_tokens", "cost_usd")  # fmt: skip
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
                "make space or mend the folder and run the same command again."
            ) from error
