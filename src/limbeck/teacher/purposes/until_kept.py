"""Asking until enough is kept: the one loop behind annotation and synthesis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import DuplicateGuard, LeakGuard
from limbeck.data.task import Task
from limbeck.teacher.client.budget import Spend
from limbeck.teacher.client.teacher import Outcome, Teacher
from limbeck.teacher.request import TeacherRequest


@dataclass(frozen=True)
class Review:
    """A second look at all examples of a wave that were kept, such as asking the teacher about them.

    Attributes:
        look: what becomes of the examples, in their order.
        requests: how many it makes for each of them.
    """

    look: Callable[[Sequence[Example]], Sequence[Example | Rejected]]
    requests: int = 0


@dataclass(frozen=True)
class AskScope:
    """What all requests of one stage share.

    Attributes:
        teacher: who is asked.
        task: instruction, fields, labels and answer prefix.
        stage: the stage or round that asks.
        seed: seed of the run.
        max_attempts: at most so many requests for each wanted example.
        duplicates: what is known already; new examples that are kept are added to it.
        leaks: what is held out.
        find_fault: a last check of an example; a reason rejects it.
        review: a second look at the new examples that passed all checks.
    """

    teacher: Teacher
    task: Task
    stage: int
    seed: int
    max_attempts: int
    duplicates: DuplicateGuard
    leaks: LeakGuard
    find_fault: Callable[[Example], str | None] = lambda example: None
    review: Review | None = None


@dataclass
class AskResult:
    """What a round of asking gave.

    Attributes:
        kept: examples kept, by group and then in the order asked.
        rejected: what was dropped, each with its reason.
        missing: what each group still lacks.
    """

    kept: list[Example] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, other: AskResult) -> None:
        """Append a harvest that was asked for what this one lacks."""
        self.kept += other.kept
        self.rejected += other.rejected
        self.missing = other.missing


def ask_until_kept(
    teacher: Teacher,
    wanted: Mapping[str, int],
    make_request: Callable[[str], TeacherRequest | Example | Rejected | None],
    judge: Callable[[Outcome], Example | Rejected],
    *,
    max_attempts: int,
    is_consuming: Callable[[Rejected], bool] = lambda rejected: False,
    review: Review | None = None,
    hopeless_rejects: int | None = None,
) -> AskResult:
    """Ask group by group (a group is a domain, or the whole pool) until each has kept what it wants.

    Args:
        teacher: asked for all groups together, so that requests overlap.
        wanted: how many examples each group wants.
        make_request: the group's next request; an example that is complete already and is kept as it is; a rejection
            of a candidate that is not worth asking about; or None when the group has no more.
        judge: what becomes of an outcome that has a reply.
        max_attempts: a group that wants n asks at most n·max_attempts times.
        is_consuming: rejections that use up a place in the quota (``on_mismatch: consume``).
        review: a second look at what `judge` kept of a wave. Near a cap a wave is only as large as the cap allows together with
            its review, and the groups take turns in it: else all would be spent on examples that nobody can look at.
        hopeless_rejects: asking ends once so many are rejected and none is kept; before one is kept no more are asked in all.

    Returns:
        Kept and rejected examples in the order asked, never in the order answered. Once a cap is spent nothing is
        asked any more, and examples that are complete already are still kept.
    """
    groups = {name: _Group(name, count, count * max_attempts) for name, count in wanted.items() if count > 0}
    harvest = AskResult()
    waiting: list[tuple[str, TeacherRequest]] = []
    while True:
        limit = None if hopeless_rejects is None or any(group.kept for group in groups.values()) else hopeless_rejects
        if limit is not None and len(harvest.rejected) >= limit:
            break
        batch: list[tuple[str, TeacherRequest]] = []
        for turn, group in enumerate(groups.values()):
            held = [request for name, request in waiting if name == group.name]
            # While nothing is kept yet, the groups share what may be asked at once.
            free = 0 if limit is None else limit - len(harvest.rejected) - len(batch) - len(held)
            share = group.missing if limit is None else -(-free // (len(groups) - turn))
            fresh = group.draw(make_request, len(held), share, harvest.rejected, teacher)
            batch += [(group.name, request) for request in (*held, *fresh)]
        batch, waiting = split_payable(teacher, batch, review.requests if review else 0)
        if not batch:
            break
        judged: list[tuple[str, Example | Rejected]] = []
        for (name, request), outcome in zip(batch, teacher.ask_many([request for _, request in batch]), strict=True):
            if groups[name].count(outcome):
                failed = None if outcome.reply else reject(request, "teacher_failed", outcome.detail)
                judged.append((name, failed or judge(outcome)))
        for name, verdict in judged if review is None else review_wave(judged, review.look):
            if isinstance(verdict, Example):
                groups[name].keep(verdict)
            else:
                harvest.rejected.append(verdict)
                groups[name].missing -= is_consuming(verdict)
    harvest.kept = [example for group in groups.values() for example in group.kept]
    harvest.missing = {name: group.missing for name, group in groups.items() if group.missing}
    return harvest


@dataclass
class _Group:
    """What a group still wants, how often it may still ask for that, and what it has."""

    name: str
    missing: int
    attempts_left: int
    kept: list[Example] = field(default_factory=list)

    def keep(self, example: Example) -> None:
        self.kept.append(example)
        self.missing -= 1

    def draw(
        self,
        make_request: Callable[[str], TeacherRequest | Example | Rejected | None],
        held: int,
        share: int,
        rejected: list[Rejected],
        teacher: Teacher,
    ) -> list[TeacherRequest]:
        """Its next requests beside the `held` ones of an earlier wave, `share` at most in all; none once a cap is spent."""
        requests: list[TeacherRequest] = []
        while held + len(requests) < min(self.missing, self.attempts_left, share):
            request = make_request(self.name)
            if isinstance(request, Example):
                self.keep(request)
            elif isinstance(request, Rejected):
                rejected.append(request)
            elif request is None or teacher.budget.exhausted is not None:
                self.attempts_left = held + len(requests)
            else:
                requests.append(request)
        return requests

    def count(self, outcome: Outcome) -> bool:
        """Count an attempt; False where the teacher was not asked."""
        self.attempts_left -= 1
        if outcome.reason == "unavailable":  # nor will the group's next one be: what it lacks is reported as missing
            self.attempts_left = 0
        return outcome.reason not in ("budget", "unavailable")


def check_new(scope: AskScope, verdict: Example | Rejected, request: TeacherRequest) -> Example | Rejected:
    """What becomes of an example that the teacher invented; one that passes is known to the scope's guard from now on.

    Args:
        scope: has the guards and the last check.
        verdict: the example as it was read, or why it can't be used.
        request: what it answers.
    """
    if isinstance(verdict, Rejected):
        return verdict
    if (leak := scope.leaks.find_leak(verdict.question)) is not None:
        return reject(request, "leaks_held_out", f"held-out example {leak}")
    if (known := scope.duplicates.find_duplicate(verdict.question, verdict.answer_type, verdict.domain)) is not None:
        return reject(request, known[0], f"known example {known[1]}")
    if (reason := scope.find_fault(verdict)) is not None:
        return reject(request, reason)
    scope.duplicates.add(verdict)
    return verdict


def split_payable(
    teacher: Teacher, batch: Sequence[tuple[str, TeacherRequest]], review_requests: int
) -> tuple[list[tuple[str, TeacherRequest]], list[tuple[str, TeacherRequest]]]:
    """``(requests to ask now, requests that wait)``, both in their order; all are asked now where no review asks anything.

    A request is asked now if the caps allow it and its review beside the others; each request of a review is taken to cost at
    most what it costs itself. One whose reply is stored is asked in any case, and leaves room for its review, which may not be
    stored. Groups take turns. If none can be asked, the budget is exhausted.
    """
    if not review_requests:
        return list(batch), []
    seen: Counter[str] = Counter()
    turns = []
    for place, (group, _) in enumerate(batch):
        turns.append((seen[group], place))
        seen[group] += 1
    need, chosen, excess = Spend(), set[int](), None
    for _, place in sorted(turns):
        request = batch[place][1]
        is_stored = teacher.has_reply(request)
        most = teacher.worst_case(request) * (review_requests + (not is_stored))
        excess = None if is_stored else teacher.budget.compute_excess(need, most)
        if excess is None:
            need += most
            chosen.add(place)
    if batch and not chosen:
        teacher.budget.exhausted = excess
    return [batch[place] for place in sorted(chosen)], [pair for place, pair in enumerate(batch) if place not in chosen]


def review_wave(
    judged: Sequence[tuple[str, Example | Rejected]], review: Callable[[Sequence[Example]], Sequence[Example | Rejected]]
) -> list[tuple[str, Example | Rejected]]:
    """A wave's verdicts after a second look at those that are kept."""
    reviewed = iter(review([verdict for _, verdict in judged if isinstance(verdict, Example)]))
    return [(group, next(reviewed) if isinstance(verdict, Example) else verdict) for group, verdict in judged]


def forget_rejected(scope: AskScope) -> Review | None:
    """The scope's review, after which the guard forgets what it rejected: a later process finds only kept examples."""
    review, duplicates = scope.review, scope.duplicates
    if review is None:
        return None

    def look(examples: Sequence[Example]) -> Sequence[Example | Rejected]:
        verdicts = review.look(examples)
        for example, verdict in zip(examples, verdicts, strict=True):
            if isinstance(verdict, Rejected):
                duplicates.forget(example)
        return verdicts

    return Review(look, review.requests)


def reject(request: TeacherRequest, reason: str, detail: str = "") -> Rejected:
    """A rejection of what a request was about."""
    about = request.about
    example_id = about.examples[0].id if about.purpose == "annotate" else None
    return Rejected(about.stage, about.domain, reason, example_id, request.key, detail[:500])
