"""`limbeck plan --probe N`: a few of the run's own first requests, really asked and paid. Imports no torch.

They go through the run folder's ledger and under its caps, by the very functions by which the run asks. So `limbeck run` on
that folder finds their replies and pays nothing for them again. That holds where a first request can be known before
anything is asked: annotations of stage 0 in the seeded order of its candidates, inventions that show what is had already
(GOLD's first batches; a tail domain all of whose real examples are in the probe), votes on what was invented, and the
teacher's own measurement. The rest of a probe teaches how long replies are, and may be asked for later or not.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.config.config import Config
from limbeck.data.example import Example
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.pool import Pool
from limbeck.errors import ConfigError
from limbeck.evaluation.metrics import choose_examples
from limbeck.inputs.data import RunData, prepare, read_data
from limbeck.methods.baldistill.plan import make_plan
from limbeck.methods.baldistill.requests import foresee_shares, open_pool, plan_requests
from limbeck.methods.gold.plan import find_asked, foresee_rounds
from limbeck.methods.settings import BalDistillSettings, GoldSettings
from limbeck.planner.estimate import Estimator
from limbeck.planner.history import PROBE, learn, learn_if_there
from limbeck.planner.tokens import load_counter
from limbeck.run_folder.folder import RunFolder
from limbeck.runner.probe_shares import choose_tail, find_later_need, spread, take_share
from limbeck.selection.pick import order_randomly
from limbeck.selection.quotas import GLOBAL, Share, compute_synthetic_need
from limbeck.system.files import write_json
from limbeck.teacher.client.budget import Budget
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.annotate import annotate
from limbeck.teacher.purposes.answer import ask_answers
from limbeck.teacher.purposes.generate import generate
from limbeck.teacher.purposes.synthesize import synthesize
from limbeck.teacher.purposes.until_kept import Harvest, Review
from limbeck.teacher.purposes.verify import check_answers
from limbeck.teacher.request import Reply

PROBE_FILES = frozenset({PROBE, "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"})
OWN_FILES = frozenset({"lock", "config.yaml"})  # what a run writes before it says that it is one


def is_free(folder: Path) -> bool:
    """Whether a run may begin in a folder: it is empty, or holds only a probe and its ledger."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")} - OWN_FILES
    return not names or (PROBE in names and names <= PROBE_FILES)


def run_probe(estimator: Estimator, data: RunData, out: Path, count: int) -> dict[str, Any]:
    """Ask about `count` requests, spread over purposes and domains, and keep their replies in the folder's ledger.

    Args:
        estimator: of the plan without a probe, which says what a run asks most.
        data: of the run.
        out: the folder of the run to come.
        count: how many; fewer are asked where a run needs fewer, or a cap ends it.

    Returns:
        The facts of ``probe.json``: requests ``wanted`` and ``asked``, how many of them the run will ask too
        (``reusable``), ``paid`` requests, tokens and money, and ``kept`` and rejected by purpose.

    Raises:
        ConfigError: the folder holds a run, or other files; or the config asks nothing.
        TeacherError: as `Teacher.ask_many`.
    """
    config = estimator.config
    with RunFolder.open(out) as folder:
        if folder.state:
            raise ConfigError(
                f"{out} holds a run already, and its plan learns from its ledger: leave out --probe, or choose another --out"
            )
        if not is_free(out):
            raise ConfigError(f"{out} holds files but no run; choose an empty or new folder as --out")
        facts: dict[str, Any] = {"folder": str(out), "wanted": count, "asked": {}, "began_at": time.time()}
        write_json(out / PROBE, facts)  # first, so that a run may begin here however this ends
        ledger = Ledger(out / "ledger.sqlite")
        try:
            ledger.mark_unknown()
            before = ledger.sum_spend()
            budget = Budget(config.budget, before)
            with Teacher(data.backend, ledger, budget, config.teacher) as teacher:
                asked = _Probe(estimator, data, teacher).ask(count)
            spent = budget.spent - before
            facts |= {
                "asked": dict(asked.asked),
                "reusable": asked.reusable,
                "kept": asked.count_kept(),
                "paid": {"requests": spent.requests, "tokens": spent.tokens, "cost_usd": spent.cost_usd},
                "ended_by": None if budget.exhausted is None else str(budget.exhausted),
            }
            write_json(out / PROBE, facts)
        finally:
            ledger.close()
    return facts


def plan_with_ledger(config: Config, out: Path, *, ledger: Path | None = None, probe: int | None = None) -> dict[str, Any]:
    """The plan of a config, with what a ledger teaches (``limbeck plan``).

    Args:
        config: what is planned.
        out: the folder of the run to come; its ledger teaches where there is one of the same teacher model.
        ledger: a run folder or ``ledger.sqlite`` to learn from instead.
        probe: so many requests are asked first, and kept in `out`.

    Returns:
        As `make_plan`; with `probe`, the facts of `run_probe` or None.

    Raises:
        ConfigError, DataError, StorageError: as `read_data`, `learn` and `run_probe`.
        TeacherError: the teacher can't be probed.
    """
    if ledger is not None and probe is not None:
        raise ConfigError("--ledger and --probe: a plan learns from one of them; leave out the other")
    data = read_data(config) if probe is None else prepare(config, out)
    count = load_counter(config.teacher)
    facts = None if probe is None else run_probe(Estimator(config, count), data, out, probe)
    learned = learn_if_there(out, config, count) if ledger is None else learn(ledger, config, count)
    return {**make_plan(config, data, learned, count), "probe": facts}


@dataclass
class _Probe:
    """What is asked, and what became of it."""

    estimator: Estimator
    data: RunData
    teacher: Teacher
    asked: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    reusable: int = 0

    def ask(self, count: int) -> _Probe:
        """Ask at most so many requests."""
        method = self.estimator.config.method
        left = count - self.ask_measured(count)
        if isinstance(method, GoldSettings):
            self.ask_generation(method, left)
        else:
            self.ask_pool(method, left)
        if not self.asked and self.teacher.budget.exhausted is None:
            raise ConfigError("--probe: this config asks the teacher nothing in its first stage; a plan needs no probe")
        return self

    def count_kept(self) -> dict[str, dict[str, int]]:
        """Kept and rejected replies by purpose."""
        return {
            purpose: {"kept": self.kept[purpose], "rejected": self.rejected[purpose]}
            for purpose in sorted({*self.kept, *self.rejected})
        }

    def note(self, purpose: str, harvest: Harvest, *, unknown: int = 0, is_final: bool = True) -> None:
        """Count what a harvest was asked.

        Args:
            purpose: of its requests.
            harvest: what came of them.
            unknown: how many of them the run may not ask.
            is_final: whether the run would keep what was kept here: no more checks follow.
        """
        rejected = sum(one.request is not None for one in harvest.rejected)
        if is_final:
            self.kept[purpose] += len(harvest.kept)
            self.rejected[purpose] += rejected
        self.asked[purpose] += len(harvest.kept) + rejected
        self.reusable += max(0, len(harvest.kept) + rejected - unknown)

    def note_answers(self, purpose: str, answers: Sequence[Sequence[tuple[str | None, Reply | None]]]) -> None:
        """Count the answers that were had; a cap may have allowed fewer than were wanted."""
        had = sum(reply is not None for votes in answers for _, reply in votes)
        self.asked[purpose] += had
        self.reusable += had

    def ask_measured(self, count: int) -> int:
        """Some of the test rows that the teacher is measured on; how many."""
        config = self.estimator.config
        rows: Sequence[Example] = []
        if config.evaluation.teacher:
            rows = choose_examples(self.data.test, config.evaluation.max_examples, config.seed)
        size = take_share(count, len(rows), len(rows) + config.budget.max_examples)
        chosen = rows[:: max(1, len(rows) // max(1, size))][:size]
        if chosen:
            answers = ask_answers(self.teacher, chosen, self.data.task, purpose="evaluate", stage=0, temperature=0.0)
            self.note_answers("evaluate", answers)
        return len(chosen)

    def ask_generation(self, method: GoldSettings, count: int) -> None:
        """GOLD: the first requests of round 0 for each group, and the votes on what they gave."""
        config, data = self.estimator.config, self.data
        asked = find_asked(config, method, data)
        votes, (first, *_) = method.relabel_votes, foresee_rounds(config, method, asked.groups)
        sizes = {group: size for (purpose, group, _), size in first.items() if purpose == "synthesize"}
        shares = spread(max(1, count // (1 + votes)), sizes)

        def show(has_feedback: bool, draw: random.Random) -> list[Example]:
            return draw.sample(list(data.train), min(config.teacher.seed_examples, len(data.train)))

        harvest = generate(
            self.teacher,
            {(group, False): size for group, size in shares.items()},
            show,
            asked=asked,
            purpose="synthesize",
            place="lead",
            stage=0,
            seed=config.seed,
            max_attempts=1,
            duplicates=DuplicateGuard(data.train),
            leaks=data.leaks,
            temperature=None if method.temperatures is None else round(method.temperatures[0], 3),
        )
        self.note("synthesize", harvest, is_final=not votes)
        judged = harvest.kept[: max(0, count - shares.total()) // votes] if votes else []
        if judged:
            self.note_answers("verify", ask_answers(self.teacher, judged, data.task, purpose="verify", stage=0, votes=votes))

    def ask_pool(self, method: BalDistillSettings, count: int) -> None:
        """BalDistill: the first candidates of stage 0, and the inventions that it, or a later stage, begins with."""
        config, data, pool = self.estimator.config, self.data, open_pool(self.data)
        stages = foresee_shares(config, method, pool)
        if not stages or count < 1:
            return
        is_premixed = method.pooling == "premixed"  # then the order of stage 0 depends on what is invented before it
        invented = self.count_invented(method, pool, stages, count)
        plan = (
            foresee_advance(config, method, pool, invented)
            if is_premixed
            else choose_tail(method, stages[0], pool.counts, count, invented)
        )
        whole = {group: 0 if is_premixed else stages[0][group].real for group in plan}
        room = {group: share.real - whole.get(group, 0) for group, share in stages[0].items()}
        left = count - (sum(plan.values()) or invented) - sum(whole.values())
        others = spread(left, room)
        # Which candidates come after those of stage 0 is not known; one that is chosen is not paid again all the same.
        later = spread(left - others.total(), {group: sum(shares[group].real for shares in stages[1:]) for group in room})
        annotated: dict[str, Example] = {}
        if method.annotation != "none":
            queues = {group: order_randomly(list_candidates(pool, group), config.seed, 0, group) for group in room}
            wanted = {group: whole.get(group, 0) + others[group] + later[group] for group in room}
            harvest = annotate(
                self.teacher,
                queues,
                wanted,
                task=data.task,
                stage=0,
                is_hinted=method.annotation == "hinted",
                on_mismatch=method.on_mismatch,
                max_attempts=1,
            )
            self.note("annotate", harvest, unknown=count if is_premixed else later.total())
            annotated = {} if is_premixed else {example.id: example for example in harvest.kept}
        seeds = {name: [annotated.get(example.id, example) for example in pool.originals[name]] for name in pool.domains}
        if plan:
            self.invent(method, seeds, plan, 0)
        elif invented and config.teacher.backend != "recorded":  # which gives each of its records once
            stage, needs = find_later_need(stages)
            self.invent(method, seeds, spread(invented, needs), stage, invented)

    def count_invented(self, method: BalDistillSettings, pool: Pool, stages: Sequence[Mapping[str, Share]], count: int) -> int:
        """How many of so many requests invent an example, as in the plan."""
        rows = plan_requests(self.estimator, method, self.data, pool, stages)
        annotated, invented = (
            sum(row.requests.likely for row in rows if row.purpose == purpose) for purpose in ("annotate", "synthesize")
        )
        return take_share(count, invented, annotated + invented)

    def invent(
        self,
        method: BalDistillSettings,
        seeds: Mapping[str, Sequence[Example]],
        wanted: Mapping[str, int],
        stage: int,
        unknown: int = 0,
    ) -> None:
        """Have new examples written, once each; votes on them are not probed."""
        config, data = self.estimator.config, self.data
        harvest = synthesize(
            self.teacher,
            seeds,
            wanted,
            task=data.task,
            stage=stage,
            seed=config.seed,
            max_attempts=1,
            duplicates=DuplicateGuard(data.train),
            leaks=data.leaks,
            is_domain_answer=config.data.domain == "answer",
            review=Review(lambda examples: check_answers(examples, stage)) if method.verify == "answer" else None,
        )
        self.note("synthesize", harvest, unknown=unknown, is_final=method.verify != "vote")


def list_candidates(pool: Pool, group: str) -> list[Example]:
    """The candidates of a domain, or of the whole pool under `GLOBAL`, as the method lists them."""
    return [example for name in pool.domains if group in (GLOBAL, name) for example in pool.candidates(name)]


def foresee_advance(config: Config, method: BalDistillSettings, pool: Pool, count: int) -> dict[str, int]:
    """``premixed``: which of the examples that are synthesized before stage 0 a probe asks for."""
    left = {name: pool.count_left(name) for name in pool.domains}
    return dict(
        spread(
            count,
            compute_synthetic_need(
                method.quota,
                pool.counts,
                budget=config.budget.max_examples,
                stages=method.stages,
                offset=method.adaptive_offset,
                left=left,
            ),
        )
    )
