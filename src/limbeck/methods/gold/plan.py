"""GOLD's plan: each round's examples by group, and the cost of generating, relabelling and measuring. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from limbeck.inputs.data import RunData
from limbeck.inputs.sections import Sections
from limbeck.methods.gold.generation import SHOWN_TO_PROBES
from limbeck.methods.gold.settings import GoldSettings
from limbeck.planner.assemble import assemble_plan
from limbeck.planner.estimate import (
    KEPT,
    Estimator,
    count_measured,
    measure_question,
    plan_answers,
)
from limbeck.run_folder.plan import NOTHING, Plan, PlannedRequests, Range
from limbeck.selection.quotas import Share
from limbeck.selection.rounds import Batch, make_rounds, share_evenly
from limbeck.teacher.purposes.generate import Asked, write_messages, write_reply
from limbeck.teacher.purposes.prompts import load_template

Wanted = dict[tuple[str, str, bool], int]
"""How many examples a round wants, by ``(purpose, group, with feedback)``."""


def make_asked(config: Sections, method: GoldSettings, data: RunData) -> Asked:
    """What the run asks for, with its groups in order."""
    is_label = config.data.domain == "answer"
    groups = list(data.task.labels) if is_label else sorted(data.counts)
    return Asked(data.task, groups, is_label, method.attributes == "draw")


def foresee_rounds(config: Sections, method: GoldSettings, groups: Sequence[str]) -> list[Wanted]:
    """What each round wants if every reply is kept, until the budget's examples are reached."""
    left, has_feedback = config.budget.max_examples, False
    rounds: list[Wanted] = []
    for each in make_rounds(
        rounds=method.rounds,
        batches_per_round=method.batches_per_round,
        batch_size=method.batch_size,
        probe_size=method.probes,
        feedback_rate=method.feedback_rate,
        is_compat=method.compat,
    ):
        wanted: Counter[tuple[str, str, bool]] = Counter()

        probes = Batch(each.index, each.probe_size, False)
        for purpose, batch in (
            *(("synthesize", batch) for batch in each.lead),
            ("probe", probes),
            *(("synthesize", batch) for batch in each.rest),
        ):
            size = min(batch.size, left)
            left -= size
            start = batch.index * (size if purpose == "probe" else batch.size)
            for group, count in share_evenly(size, groups, start).items():
                wanted[purpose, group, batch.has_feedback and has_feedback] += count
            has_feedback = has_feedback or (purpose == "probe" and size > 0)
        if wanted.total():
            rounds.append({key: count for key, count in wanted.items() if count})
    return rounds


def plan_rounds(
    estimator: Estimator, method: GoldSettings, data: RunData, asked: Asked, rounds: Sequence[Wanted]
) -> list[PlannedRequests]:
    """The requests of all rounds, by group and purpose."""
    attempts = 1 if method.compat else method.max_attempts_per_example
    tries = {purpose: estimator.foresee_tries(purpose, KEPT["generate"], attempts) for purpose in ("synthesize", "probe")}
    found: list[PlannedRequests] = []
    measured: dict[tuple[str, str, bool], tuple[Range, Range]] = {}
    for index, wanted in enumerate(rounds):
        votes: dict[str, Range] = {}
        for key, count in wanted.items():
            purpose, group, _ = key
            if key not in measured:
                measured[key] = measure_request(estimator, method, data, asked, *key)
            found.append(estimator.plan(index, group, purpose, tries[purpose] * count, *measured[key]))
            votes[group] = votes.get(group, NOTHING) + tries[purpose] * count * method.relabel_votes
        for group, count_of_votes in votes.items() if method.relabel_votes else ():
            rows = [example for example in data.train if example.domain == group] or data.train
            found.append(plan_answers(estimator, data, rows, "verify", index, group, count_of_votes))
    return merge(found)


def merge(rows: Sequence[PlannedRequests]) -> list[PlannedRequests]:
    """Merge rows into one per stage, domain and purpose; prompts with and without feedback were measured separately."""
    merged: dict[tuple[int, str, str], PlannedRequests] = {}
    for row in rows:
        key = row.stage, row.purpose, row.domain
        merged[key] = merged[key].add(row) if key in merged else row
    return list(merged.values())


def measure_request(
    estimator: Estimator, method: GoldSettings, data: RunData, asked: Asked, purpose: str, group: str, has_feedback: bool
) -> tuple[Range, Range]:
    """Tokens of one request's prompt and reply; human examples stand in for those not generated yet."""
    settings = estimator.config.teacher
    human = list(data.train)
    shown = human[: settings.seed_examples]
    more = SHOWN_TO_PROBES if purpose == "probe" else count_feedback(method) if has_feedback else 0
    shown += [human[place % len(human)] for place in range(more)]
    template = load_template("generate", settings.templates.get("generate"))
    attributes = (
        {name: values[0] for name, values in asked.task.list_attributes(group).items()} if asked.draws_attributes else {}
    )
    messages = write_messages(template, asked, group, shown, attributes=attributes, is_unlike=purpose == "probe")
    guess = estimator.guess_reply([write_reply(asked, example) for example in data.train])
    return estimator.foresee_prompt(purpose, [messages]), estimator.foresee_reply(purpose, group, guess)


def count_feedback(method: GoldSettings) -> int:
    """How many feedback examples a prompt is likely to show."""
    low, high = method.band
    band = int(high * method.probe_size) - int(low * method.probe_size)
    found = min(band, method.feedback_size or band) * method.reservoir_rounds
    return min(found, found if method.feedback_shown is None else method.feedback_shown)


def make_plan(estimator: Estimator, data: RunData, method: GoldSettings) -> Plan:
    """Make the plan of a run, in the same form as BalDistill's."""
    config = estimator.config
    asked = make_asked(config, method, data)
    rounds = foresee_rounds(config, method, asked.groups)
    stages = [count_shares(wanted, asked.groups) for wanted in rounds]
    wanted = sum(share.quota for shares in stages for share in shares.values())
    left = config.budget.max_examples - wanted
    too_few = (
        f"{method.rounds} rounds give {wanted} examples, but budget.max_examples = {config.budget.max_examples} allows {left} "
        "more; raise method.rounds or method.batches_per_round"
    )
    trained, generated = count_student_tokens(config, method, data, stages)
    return assemble_plan(
        estimator,
        data,
        method.name,
        stages,
        plan_rounds(estimator, method, data, asked, rounds),
        domains={name: data.counts.get(name, 0) for name in asked.groups},
        step="round",
        missing=left,
        trained_tokens=trained,
        generated_tokens=generated,
        warn=lambda totals: [too_few] if left else [],
        assumptions={"kept": {"generate": KEPT["generate"]}, "reply_tokens": "human examples"},
    )


def count_shares(wanted: Wanted, groups: Sequence[str]) -> dict[str, Share]:
    """The share of each group in a round."""
    counts = dict.fromkeys(groups, 0)
    for (_, group, _), count in wanted.items():
        counts[group] += count
    return {group: Share("generated", count, 0, count) for group, count in counts.items()}


def count_student_tokens(
    config: Sections, method: GoldSettings, data: RunData, stages: Sequence[dict[str, Share]]
) -> tuple[float, float]:
    """``(trained, generated)`` tokens: of the rounds' updates and the final training; and of measuring."""
    tokens = measure_question(config, data) + 4
    sizes = [sum(share.quota for share in shares.values()) for shares in stages]
    wanted = sum(sizes)
    seen = wanted * config.training.epochs * max(1, len(method.alphas))
    if method.feedback in ("error", "energy"):
        seen += sum(min(size * (index + 1), wanted) for index, size in enumerate(sizes)) * method.update_epochs
    measured = count_measured(config, data.test) * 2 + wanted * method.held_out * config.training.epochs
    return seen * tokens, measured * tokens / 5
