"""Asks until enough examples are kept: the one loop behind annotation, synthesis and generation."""

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
    """A second check of all examples kept in a wave, such as asking the teacher about them.

    Attributes:
        look: returns a verdict for each example, in order.
        requests: number of requests it makes per example.
    """

    look: Callable[[Sequence[Example]], Sequence[Example | Rejected]]
    requests: int = 0


@dataclass(frozen=True)
class AskScope:
    """What all requests of one stage share.

    Attributes:
        teacher: the teacher to ask.
        task: instruction, fields, labels and answer prefix.
        stage: the stage or round that asks.
        seed: seed of the run.
        max_attempts: maximum number of requests for each wanted example.
        duplicates: the known examples; new examples that are kept are added.
        leaks: the held-out examples.
        find_fault: a last check of an example; if it returns a reason, the example is rejected.
        review: a second check of the new examples that passed all others.
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
    """The result of a round of asking.

    Attributes:
        kept: examples kept, by group and then in the order asked.
        rejected: rejections, each with its reason.
        missing: how many examples each group still lacks.
    """

    kept: list[Example] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, other: AskResult) -> None:
        """Append a result that was asked for what this one lacks."""
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
    """Ask for each group (a domain, or the whole pool) until it has kept as many examples as it wants.

    Args:
        teacher: asked for all groups together, so that requests overlap.
        wanted: how many examples each group wants.
        make_request: returns the group's next request; or an example that is already complete and is kept as it is; or a
            rejection of a candidate that is not worth asking about; or None when the group has no more.
        judge: keeps or rejects an outcome that has a reply.
        max_attempts: a group that wants n asks at most n·max_attempts times.
        is_consuming: whether a rejection uses up a place in the quota (``on_mismatch: consume``).
        review: a second check of what `judge` kept in a wave. Near a cap, a wave is only as large as the cap allows including
            its review, and groups take turns in it; otherwise the cap could be spent on examples that are never reviewed.
        hopeless_rejects: asking ends after this many rejections if none is kept; until one is kept, no more are asked in all.

    Returns:
        Kept and rejected examples in the order asked, never in the order answered. Once a cap is reached nothing more is
        asked, but examples that are already complete are still kept.
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
            # Until something is kept, the groups share the requests that are still allowed.
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
    """What a group still lacks, how often it may still ask, and what it has kept."""

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
        """Its next requests on top of an earlier wave's `held` ones, at most `share` in all; none once a cap is reached."""
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
        """Count an attempt; False if the teacher was not asked."""
        self.attempts_left -= 1
        if outcome.reason == "unavailable":  # its next request can't be answered either; the rest counts as missing
            self.attempts_left = 0
        return outcome.reason not in ("budget", "unavailable")


def check_new(scope: AskScope, verdict: Example | Rejected, request: TeacherRequest) -> Example | Rejected:
    """Check an example that the teacher invented; if it passes, add it to the scope's duplicate guard.

    Args:
        scope: provides the guards and the last check.
        verdict: the parsed example, or a rejection, which is returned as it is.
        request: the request that it answers.
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
    """Split into ``(requests to ask now, requests that wait)``, both in order; if a review asks nothing, none waits.

    A request is asked now if the caps allow it and its review on top of the others; each request of a review is assumed to cost
    at most as much as the request itself. A request whose reply is stored is always asked, and room is left for its review,
    which may not be stored. Groups take turns. If no request can be asked, the budget is marked as exhausted.
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
    """A wave's verdicts after a second check of the kept examples."""
    reviewed = iter(review([verdict for _, verdict in judged if isinstance(verdict, Example)]))
    return [(group, next(reviewed) if isinstance(verdict, Example) else verdict) for group, verdict in judged]


def forget_rejected(scope: AskScope) -> Review | None:
    """Wrap the scope's review so that the guard forgets what it rejects, since a resumed run only knows kept examples."""
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
    """Reject what a request was about."""
    about = request.about
    example_id = about.examples[0].id if about.purpose == "annotate" else None
    return Rejected(about.stage, about.domain, reason, example_id, request.key, detail[:500])
