"""`limbeck plan --probe N`: sends the first N requests of a run to the teacher, for money. Imports no torch.

The method's own loop sends them under a cap of N requests, and is stopped before it trains anything. They go into the ledger
of the future run, so `limbeck run` finds the replies there and does not pay again.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from limbeck.config.config import Config
from limbeck.data.example import Example, explain_rejects
from limbeck.data.score import Score
from limbeck.engines.engine import Engine
from limbeck.errors import ConfigError, NothingKept
from limbeck.evaluation.metrics import Prediction
from limbeck.inputs.data import RunData
from limbeck.methods.context import MethodContext
from limbeck.methods.method import MethodSettings
from limbeck.methods.table import METHODS
from limbeck.planner.history import count_kept
from limbeck.run_folder.folder import RunFolder
from limbeck.teacher.client.budget import Budget
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher


class _Stop(Exception):
    """Raised when the method asks for student work."""


class _NoEngine(Engine):
    """An engine that ends the probe as soon as student work would begin."""

    def train(self, *args: object, **kwargs: object) -> NoReturn:
        """End the probe."""
        raise _Stop

    def score(self, *args: object, **kwargs: object) -> list[Score]:
        """End the probe."""
        raise _Stop

    def answer(self, *args: object, **kwargs: object) -> list[Prediction]:
        """End the probe."""
        raise _Stop

    def embed_examples(self, *args: object, **kwargs: object) -> np.ndarray:
        """End the probe."""
        raise _Stop

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """End the probe."""
        raise _Stop

    def save(self, student: Path, folder: Path) -> None:
        """End the probe."""
        raise _Stop

    def find_fault(self, example: Example) -> str | None:
        """Return None: a probe does not check whether an example fits the student."""
        return None

    def to_rows(self, example: Example) -> list[dict[str, object]]:
        """End the probe."""
        raise _Stop

    def identify(self, examples: Sequence[Example]) -> str:
        """End the probe."""
        raise _Stop


def run_probe(config: Config, data: RunData, out: Path, count: int) -> dict[str, Any]:
    """Send the first `count` requests of a run, and keep their replies in its ledger.

    Args:
        config: the run's config.
        data: the run's data.
        out: the folder of the future run.
        count: how many requests; fewer are sent if the first stage needs fewer, or if a cap ends the probe.

    Returns:
        What the probe found: ``wanted`` requests, ``asked`` requests by purpose (including those of an earlier probe),
        ``paid`` requests, tokens and money, ``kept`` and rejected replies by purpose, and what ended it early,
        if anything: a cap, or a teacher none of whose replies could be kept.

    Raises:
        ConfigError: the folder contains a run or other files, or the config asks nothing.
        TeacherError: see `Teacher.ask_many`.
    """
    with RunFolder.open(out) as folder:
        if folder.state:
            raise ConfigError(
                f"{out} already contains a run, and its plan learns from its ledger; leave out --probe, or choose another --out"
            )
        if not folder.is_free:
            raise ConfigError(f"{out} contains files but no run; choose an empty or new folder as --out")
        facts: dict[str, Any] = {"folder": str(out), "wanted": count, "asked": {}, "began_at": time.time()}
        folder.probe.write(facts)  # written first, so that a run may start here even if the probe fails
        ledger = Ledger(folder.ledger)
        try:
            facts |= _ask(config, data, ledger, count)
            folder.probe.write(facts)
        finally:
            ledger.close()
    return facts


def _ask(config: Config, data: RunData, ledger: Ledger, count: int) -> dict[str, Any]:
    ledger.mark_unknown()
    before = ledger.sum_spend()
    own = config.budget.max_requests
    limits = config.budget.model_copy(update={"max_requests": count if own is None else min(count, own)})
    budget = Budget(limits, before)
    # Embeddings would need the encoder, so a probe finds near-duplicates by their words.
    method = config.method.model_copy(update={"near_duplicates": "minhash"})
    with tempfile.TemporaryDirectory(prefix="limbeck-") as scratch:
        with Teacher(data.backend, ledger, budget, config.teacher) as teacher:
            context = MethodContext(
                seed=config.seed,
                task=data.task,
                examples=data.train,
                unavailable=data.unavailable,
                dev=(),
                tail=data.tail,
                leaks=data.leaks,
                is_domain_answer=config.data.domain == "answer",
                max_examples=config.budget.max_examples,
                teacher=teacher,
                engine=_NoEngine(),
                training=config.training,
                evaluation=config.evaluation,
                folder=RunFolder(Path(scratch)),
            )
            hopeless = _run_until_stopped(context, method)
        purposes = {row["key"]: row["purpose"] for row in ledger.list_requests()}
        kept = count_kept(context.folder, purposes, is_annotated=True)
    asked = Counter(purposes.values())
    if not purposes and budget.exhausted is None:
        raise ConfigError("--probe: this config asks the teacher nothing in its first stage; leave out --probe")
    spent = budget.spent - before
    ended_by = budget.exhausted
    if ended_by is not None and ended_by.cap == "max_requests" and (own is None or count < own):
        ended_by = None  # it is the probe's own cap
    return {
        "asked": dict(asked),
        "kept": {purpose: {"kept": counts[0], "rejected": counts[1]} for purpose, counts in kept.items()},
        "paid": {"requests": spent.requests, "tokens": spent.tokens, "cost_usd": spent.cost_usd},
        "ended_by": hopeless if ended_by is None else str(ended_by),
    }


def _run_until_stopped(context: MethodContext, method: MethodSettings) -> str | None:
    """Run the method until it needs its student; if it gives up because nothing is kept, return why."""
    try:
        METHODS[method.name].run(context, method)
    except _Stop:
        pass
    except NothingKept:  # its message refers to a folder that is deleted after the probe
        rejected = [one for stage in context.folder.stages for one in stage.rejected.read()]
        return f"no reply was kept: {len(rejected)} rejected ({explain_rejects(rejected, most=3)})"
    return None
