"""What a round of GOLD generates, probes and feeds back, and the files it writes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from limbeck.data.example import Example, Rejected, explain_rejects
from limbeck.data.overlap import DuplicateGuard, measure_similarity
from limbeck.data.score import Score
from limbeck.errors import NothingKept
from limbeck.hashing import hash_text
from limbeck.methods.context import MethodContext
from limbeck.methods.gold.settings import GoldSettings
from limbeck.run_folder.stage import StageFolder, count_domain
from limbeck.selection.band import choose_band, choose_compat_window
from limbeck.selection.diverse import choose_diverse
from limbeck.selection.rounds import Batch, share_evenly
from limbeck.teacher.purposes.generate import HOPELESS_REJECTS, Asked, generate
from limbeck.teacher.purposes.until_kept import AskResult, AskScope, Review
from limbeck.teacher.purposes.verify import ask_votes

SHOWN_TO_PROBES = 2  # the newest examples, which a probe must differ from


@dataclass
class RoundFacts:
    """The results of one round, in the order kept."""

    index: int = 0
    examples: list[Example] = field(default_factory=list)
    probes: list[Example] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    feedback: list[Example] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    wanted: Counter[str] = field(default_factory=Counter)


class GoldState:
    """What a GOLD run has generated so far, and the feedback that its next prompts show.

    Attributes:
        kept: all kept examples, including probes, in the order kept.
        reservoir: feedback of the last rounds, newest last.
        facts: results of the current round.
    """

    def __init__(self, context: MethodContext, settings: GoldSettings, known: DuplicateGuard) -> None:
        self.context, self.settings, self.known = context, settings, known
        labels = list(context.task.labels)
        groups = labels if context.is_domain_answer else sorted({example.domain for example in context.examples})
        self.asked = Asked(context.task, groups, context.is_domain_answer, settings.attributes == "draw")
        self.kept: list[Example] = []
        self.reservoir: list[list[Example]] = []
        self._before: list[Example] = []
        self.facts = RoundFacts()

    @property
    def missing(self) -> dict[str, int]:
        """How many examples the round wanted but did not get, by group."""
        return self.facts.missing

    @property
    def is_over(self) -> bool:
        """Whether to stop asking: a cap is reached, or all wanted examples are kept."""
        return self.context.teacher.budget.exhausted is not None or len(self.kept) >= self.context.max_examples

    def begin(self, index: int) -> None:
        """Begin a round."""
        self.facts, self._before = RoundFacts(index), self.kept

    def end(self) -> None:
        """End a round; its examples come before its probes, the order in which a resumed run reads them."""
        self.kept = [*self._before, *self.facts.examples, *self.facts.probes]

    def generate(self, batches: Sequence[Batch], place: str) -> None:
        """Generate batches, up to the number of examples still wanted; batches marked for feedback show it."""
        wanted: Counter[tuple[str, bool]] = Counter()
        left = self.context.max_examples - len(self.kept)
        for batch in batches:
            size = min(batch.size, left)
            left -= size
            has_feedback = batch.has_feedback and any(self.reservoir)
            for group, count in share_evenly(size, self.asked.groups, batch.index * batch.size).items():
                wanted[group, has_feedback] += count
        self._ask(wanted, "synthesize", place)

    def probe(self, size: int) -> None:
        """Have the teacher write examples that differ from those shown."""
        size = min(size, self.context.max_examples - len(self.kept))
        shares = share_evenly(size, self.asked.groups, self.facts.index * size)
        self._ask(Counter({(group, False): count for group, count in shares.items()}), "probe", "probe")

    def _ask(self, wanted: Counter[tuple[str, bool]], purpose: str, place: str) -> None:
        if not wanted.total():
            return
        context, settings, facts = self.context, self.settings, self.facts
        context.on_progress(
            f"{'probing' if purpose == 'probe' else 'generating'} {wanted.total()} examples",
            len(self.kept),
            context.max_examples,
        )
        newest = self.kept[-SHOWN_TO_PROBES:]

        def show(has_feedback: bool, draw: random.Random) -> list[Example]:
            human = draw.sample(list(context.examples), min(context.teacher.settings.seed_examples, len(context.examples)))
            if purpose == "probe":
                return [*human, *newest]
            return [*human, *(self._draw_feedback(draw) if has_feedback else ())]

        scope = AskScope(
            context.teacher,
            context.task,
            facts.index,
            context.seed,
            1 if settings.compat else settings.max_attempts_per_example,
            self.known,
            context.leaks,
            context.engine.find_fault,
            Review(self._relabel, settings.relabel_votes) if settings.relabel_votes else None,
        )
        result = generate(
            scope, wanted, show, asked=self.asked, purpose=purpose, place=place, temperature=self._compute_temperature()
        )
        (facts.probes if purpose == "probe" else facts.examples).extend(result.kept)
        self._keep(result, wanted)

    def _keep(self, result: AskResult, wanted: Counter[tuple[str, bool]]) -> None:
        facts = self.facts
        self.kept = [*self.kept, *result.kept]
        facts.rejected += result.rejected
        kept = Counter(example.domain for example in result.kept)
        asked: Counter[str] = Counter()
        for (group, _), count in wanted.items():
            asked[group] += count
        facts.wanted += asked
        facts.missing = dict(Counter(facts.missing) + (asked - kept))
        if not self.kept and len(result.rejected) >= min(HOPELESS_REJECTS, wanted.total()) and not self.is_over:
            file = self.context.folder.round(facts.index).rejected
            raise NothingKept(
                f"the teacher {self.context.teacher.settings.model!r} does not follow the expected form: none of its "
                f"first {len(result.rejected)} replies could be kept ({explain_rejects(result.rejected, most=3)}). "
                f"See the rejected replies in {file.path}. "
                "Try your own prompt (teacher.templates.generate) or other task.checks."
            )

    def _compute_temperature(self) -> float | None:
        if self.settings.temperatures is None:
            return None
        first, last = self.settings.temperatures
        return round(first + (last - first) * len(self.kept) / self.context.max_examples, 3)

    def _draw_feedback(self, draw: random.Random) -> list[Example]:
        found = [example for feedback in self.reservoir for example in feedback]
        shown = self.settings.feedback_shown
        return found if shown is None else draw.sample(found, min(shown, len(found)))

    def _relabel(self, examples: Sequence[Example]) -> list[Example | Rejected]:
        """Keep the examples that the teacher labels the same when asked without the label: a noise check without energy."""
        return ask_votes(
            self.context.teacher,
            examples,
            self.context.task,
            stage=self.facts.index,
            votes=self.settings.relabel_votes,
            agreement=self.settings.relabel_agreement,
            reason="relabelled",
            is_reasoned=False,
        )

    def choose_feedback(self, folder: StageFolder) -> None:
        """Score the probes and choose those that the next prompts show (GOLD §3).

        No kind of feedback chooses more probes than the band contains, so arms differ in *which* probes they show. If none is
        chosen, the earlier feedback stays.
        """
        facts, settings = self.facts, self.settings
        needs_student = settings.feedback in ("error", "energy")
        facts.scores = self._score(folder) if needs_student and facts.probes else []
        by_group: dict[str, list[Example]] = {}
        for probe in facts.probes:
            is_by_label = self.context.is_domain_answer and not settings.compat  # the released code ranks a batch as a whole
            by_group.setdefault(probe.domain if is_by_label else "", []).append(probe)
        chosen = {name for group, probes in by_group.items() for name in self._choose(group, probes)}
        facts.feedback = [probe for probe in facts.probes if probe.id in chosen]
        self._store_feedback()

    def _store_feedback(self) -> None:
        if self.facts.feedback:
            self.reservoir = [*self.reservoir, self.facts.feedback][-self.settings.reservoir_rounds :]

    def _choose(self, group: str, probes: Sequence[Example]) -> list[str]:
        settings, place = self.settings, f"feedback/{self.context.seed}/{self.facts.index}/{group}"
        ids = {probe.id for probe in probes}
        at_random = sorted(ids, key=lambda name: hash_text(f"{place}/{name}"))
        by_id = {score.id: score for score in self.facts.scores if score.id in ids}
        if settings.feedback == "energy":
            energy = {name: float(score.parts["energy"]) for name, score in by_id.items()}
            band = choose_compat_window(energy) if settings.compat else choose_band(energy, *settings.band)
            if settings.feedback_size is None:
                return band
            texts = {probe.id: probe.question for probe in probes}
            return choose_diverse(band, settings.feedback_size, lambda a, b: 1 - measure_similarity(texts[a], texts[b]))
        size = len(choose_band(dict.fromkeys(ids, 0.0), *settings.band))
        size = min(size, settings.feedback_size or size)
        if settings.feedback == "error":
            wrong = [score for score in by_id.values() if not score.parts["is_correct"]]
            return [score.id for score in sorted(wrong, key=lambda score: (-float(score.parts["nll"]), score.id))][:size]
        return at_random[:size]

    def _score(self, folder: StageFolder) -> list[Score]:
        context, probes = self.context, self.facts.probes
        student = folder if folder.student.exists() else None
        score = "padded_energy" if self.settings.compat else "energy"
        scores = context.engine.score(None if student is None else student.student, probes, score)
        if self.settings.feedback != "error":
            return scores
        predictions = context.answer(student, probes, f"measuring {len(probes)} probes")
        is_correct = {prediction.id: prediction.is_correct for prediction in predictions}
        return [replace(score, parts={**score.parts, "is_correct": is_correct[score.id]}) for score in scores]

    def restore(self, facts: RoundFacts) -> None:
        """Restore the results of a finished round."""
        self.facts, self._before = facts, self.kept
        self.end()
        for example in (*facts.examples, *facts.probes):
            self.known.add(example)
        self._store_feedback()


def count_groups(state: GoldState) -> dict[str, dict[str, Any]]:
    """The counts of each group in the round."""
    facts = state.facts
    probed = Counter(example.domain for example in facts.probes)
    return {
        group: count_domain(
            [example for example in (*facts.examples, *facts.probes) if example.domain == group],
            facts.wanted[group],
            role="generated",
            missing=facts.missing.get(group, 0),
            probes=probed[group],
        )
        for group in state.asked.groups
    }


def write_round(folder: StageFolder, state: GoldState) -> None:
    """Write the results of a round; the caller writes the done marker."""
    facts = state.facts
    scores = {score.id: score.parts for score in facts.scores}
    folder.feedback.write(facts.feedback)
    folder.probes.write([{**probe.to_json(), "scores": scores.get(probe.id)} for probe in facts.probes])
    is_cut_short = state.context.teacher.budget.exhausted is not None
    folder.write_collected(count_groups(state), facts.examples, facts.rejected, is_cut_short=is_cut_short)


def read_round(folder: StageFolder, state: GoldState) -> None:
    """Read what `write_round` wrote into the state."""
    rows = ({name: value for name, value in row.items() if name != "scores"} for row in folder.probes.read())
    state.restore(
        RoundFacts(
            folder.index,
            folder.examples.read(),
            list(map(Example.from_json, rows)),
            feedback=folder.feedback.read(),
            missing=folder.missing,
        )
    )
