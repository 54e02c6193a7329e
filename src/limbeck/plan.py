"""`limbeck plan`: what a run will do and cost, before anything is asked or trained. Imports no torch.

Quotas and roles are exact where every candidate is kept. Requests, tokens and money come as low, likely and high: low
keeps every reply, high uses up all attempts and the longest replies. Seconds are rough: they rest on speeds measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from limbeck.config import Config
from limbeck.data.example import Example
from limbeck.data.pool import Pool
from limbeck.estimate import (
    CHAT_TOKENS,
    NOTHING,
    REPLY_SHARE,
    SUMS,
    Range,
    add_requests,
    compute_cost,
    count_measured,
    estimate_seconds,
    find_cap_warnings,
    load_counter,
    measure_question,
    range_prompt,
    range_reply,
)
from limbeck.methods.settings import BalDistillSettings, GoldSettings
from limbeck.run_data import RunData
from limbeck.selection.quotas import GLOBAL, Share, foresee_stages
from limbeck.selection.rounds import make_rounds, share_evenly
from limbeck.teacher import annotate, generate, synthesize
from limbeck.teacher.prompts import load_template
from limbeck.teacher.request import About

SAMPLE = 16  # examples of a domain whose prompts are counted
# Shares of replies that are kept, where nothing is known of the teacher. Published GPT rationales kept 84% (MATH, hinted),
# 62% (R52, label withheld or not) and 74% (BIG-Bench-Hard, blind).
KEPT = {"hinted": 0.85, "blind": 0.75, "synthesize": 0.85, "generate": 0.9}


def make_plan(config: Config, data: RunData) -> dict[str, Any]:
    """The plan of whichever method the config names.

    Raises:
        ConfigError: ``teacher.tokenizer`` can't be read.
    """
    if isinstance(config.method, GoldSettings):
        return make_generation_plan(config, config.method, data)
    return make_pool_plan(config, config.method, data)


def make_pool_plan(config: Config, method: BalDistillSettings, data: RunData) -> dict[str, Any]:
    """The plan in the form of ``plan --json`` (DESIGN §3): ``stages`` and ``totals``, with ``warnings`` and ``assumptions``.

    ``totals.cost_usd`` holds nulls where no prices are given.

    Raises:
        ConfigError: ``teacher.tokenizer`` can't be read.
    """
    pool = Pool(data.train)
    pool.remove(data.unavailable)
    left = {domain: pool.count_left(domain) for domain in pool.domains}
    stages = foresee_stages(
        method.quota, pool.counts, left, budget=config.budget.max_examples, stages=method.stages,
        offset=method.adaptive_offset, tail=method.tail,
    )  # fmt: skip
    teacher = foresee_teacher(config, method, data, pool, stages)
    totals: dict[str, Any] = {
        "examples": sum(share.quota - share.missing for shares in stages for share in shares.values()),
        **{name: sum(getattr(share, name) for shares in stages for share in shares.values())
           for name in ("real", "synthesize", "duplicate", "missing")},
        "requests": asdict(teacher["requests"]),
        "tokens": asdict(teacher["prompt_tokens"] + teacher["completion_tokens"]),
        "cost_usd": compute_cost(config.teacher, teacher["prompt_tokens"], teacher["completion_tokens"]),
        "seconds": asdict(teacher["seconds"] + foresee_student_seconds(config, method, data, stages)),
    }  # fmt: skip
    return {
        "domains": {domain: pool.counts[domain] for domain in pool.domains},
        "stages": [{"stage": index, "domains": {name: asdict(share) for name, share in shares.items()}}
                   for index, shares in enumerate(stages)],
        "totals": totals,
        "notes": list(data.notes),
        "warnings": [*find_warnings(config, method, data, stages, totals), *find_cap_warnings(config, totals)],
        "assumptions": {"kept": dict(KEPT), "tokenizer": str(config.teacher.tokenizer or "4 bytes a token"),
                        "reply_tokens": "rationales of the data" if _has_rationales(data.train) else "a share of max_tokens"},
    }  # fmt: skip


def make_generation_plan(config: Config, method: GoldSettings, data: RunData) -> dict[str, Any]:
    """GOLD's plan, in the same form: every round's examples by group, and what they and the measurements cost."""
    groups = list(data.task.labels) if config.data.domain == "answer" else sorted(data.counts)
    asked = generate.Asked(data.task, groups, config.data.domain == "answer", method.attributes == "draw")
    left, stages = config.budget.max_examples, []
    for each in make_rounds(
        rounds=method.rounds, batches_per_round=method.batches_per_round, batch_size=method.batch_size,
        probe_size=method.probes, feedback_rate=method.feedback_rate, is_compat=method.compat,
    ):  # fmt: skip
        size = min(each.size, left)
        left -= size
        if size:
            stages.append({name: Share("generated", count, 0, count) for name, count in share_evenly(size, groups).items()})
    wanted = config.budget.max_examples - left
    found = dict.fromkeys(SUMS, NOTHING)
    count = load_counter(config.teacher)
    template = load_template("generate", config.teacher.templates.get("generate"))
    shown = list(data.train[: config.teacher.seed_examples])
    messages = generate.write_messages(template, asked, groups[0], shown, attributes={}, is_unlike=False)
    prompt = range_prompt(config.teacher, sum(count(m["content"]) + CHAT_TOKENS for m in messages))
    reply = range_reply(config.teacher, [count(generate.write_reply(asked, example)) for example in data.train])
    tries = Range(1, 1 / KEPT["generate"], 1 if method.compat else method.max_attempts_per_example) * wanted
    add_requests(found, config.teacher, tries, prompt, reply)
    question = Range(*(share * measure_question(data) for share in (0.8, 1.3, 2.0)))
    answer = Range(2, 4, 8) if data.task.answer == "label" else reply
    answers = tries * method.relabel_votes
    if config.evaluation.teacher:
        answers += Range(1, 1, 1) * count_measured(config, data.test)
    add_requests(found, config.teacher, answers, question, answer)
    updates = [min(sum(s.quota for s in shares.values()) * (i + 1), wanted) for i, shares in enumerate(stages)]
    seen = wanted * config.training.epochs * max(1, len(method.alphas))
    if method.feedback in ("error", "energy"):
        seen += sum(updates) * method.update_epochs
    tokens = measure_question(data) + 4
    measured = count_measured(config, data.test) * 2 + wanted * method.held_out * config.training.epochs
    totals: dict[str, Any] = {
        "examples": wanted, "real": 0, "synthesize": wanted, "duplicate": 0, "missing": left,
        "requests": asdict(found["requests"]),
        "tokens": asdict(found["prompt_tokens"] + found["completion_tokens"]),
        "cost_usd": compute_cost(config.teacher, found["prompt_tokens"], found["completion_tokens"]),
        "seconds": asdict(found["seconds"] + estimate_seconds(config, seen * tokens, measured * tokens / 5)),
    }  # fmt: skip
    warnings = find_cap_warnings(config, totals)
    if left:
        warnings.append(
            f"{method.rounds} rounds give {wanted} examples, budget.max_examples = {config.budget.max_examples} allows {left} "
            "more; raise method.rounds or method.batches_per_round"
        )
    return {
        "domains": {name: data.counts.get(name, 0) for name in groups},
        "stages": [{"stage": index, "domains": {name: asdict(share) for name, share in shares.items()}}
                   for index, shares in enumerate(stages)],
        "totals": totals,
        "notes": list(data.notes),
        "warnings": warnings,
        "assumptions": {"kept": {"generate": KEPT["generate"]}, "tokenizer": str(config.teacher.tokenizer or "4 bytes a token"),
                        "reply_tokens": "human examples"},
    }  # fmt: skip


def foresee_teacher(
    config: Config, method: BalDistillSettings, data: RunData, pool: Pool, stages: Sequence[Mapping[str, Share]]
) -> dict[str, Range]:
    """Requests, prompt and completion tokens, and seconds of waiting, over all stages and domains."""
    found = dict.fromkeys(SUMS, NOTHING)
    wanted: dict[str, dict[str, int]] = {"annotate": {}, "synthesize": {}}
    for shares in stages:
        for domain, share in shares.items():
            wanted["annotate"][domain] = wanted["annotate"].get(domain, 0) + share.real
            wanted["synthesize"][domain] = wanted["synthesize"].get(domain, 0) + share.synthesize
    if method.annotation == "none":
        wanted["annotate"] = {}
    for purpose, counts in wanted.items():
        kept = KEPT.get(method.annotation if purpose == "annotate" else purpose, 1.0)
        for domain, count in counts.items():
            if count:
                once = method.on_mismatch == "consume" and purpose == "annotate"
                tries = Range(1, 1 if once else min(1 / kept, method.max_attempts_per_example),
                              1 if once else method.max_attempts_per_example)  # fmt: skip
                prompt, reply = measure_request(
                    config, data, purpose, domain, find_sample(pool, purpose, domain), is_hinted=method.annotation == "hinted"
                )
                add_requests(found, config.teacher, tries * count, prompt, reply)
    return found


def find_sample(pool: Pool, purpose: str, domain: str) -> Sequence[Example]:
    """Some examples that requests of a domain (or of the whole pool, under `GLOBAL`) are about."""
    if domain == GLOBAL:
        return [example for name in pool.domains for example in pool.candidates(name)]
    return pool.candidates(domain) if purpose == "annotate" else pool.originals[domain]


def measure_request(
    config: Config, data: RunData, purpose: str, domain: str, examples: Sequence[Example], *, is_hinted: bool
) -> tuple[Range, Range]:
    """Mean tokens of the prompt and of the reply of one request, by prompts that are really written."""
    settings, task = config.teacher, data.task
    count = load_counter(settings)
    shown = examples[:: max(1, len(examples) // SAMPLE)][:SAMPLE]
    if purpose == "annotate":
        template = load_template("annotate", settings.templates.get("annotate"))
        prompts = [annotate.write_prompt(template, task, example, is_hinted=is_hinted) for example in shown]
        lengths = [count(example.rationale) for example in shown if example.rationale]
    else:
        template = load_template("synthesize", settings.templates.get("synthesize"))
        prompts = [
            synthesize.write_prompt(
                template, task, domain, shown[: settings.seed_examples],
                is_domain_answer=config.data.domain == "answer", is_json=settings.json_schema,
            )
        ]  # fmt: skip
        lengths = [count(f"{example.question} {example.rationale}") for example in shown if example.rationale]
    return range_prompt(settings, sum(map(count, prompts)) / len(prompts) + CHAT_TOKENS), range_reply(settings, lengths)


def foresee_student_seconds(
    config: Config, method: BalDistillSettings, data: RunData, stages: Sequence[Mapping[str, Share]]
) -> Range:
    """Seconds of training, scoring and measuring: tokens over speed, a third to three times of it; very rough."""
    prompt = measure_question(data)
    longest = config.evaluation.max_new_tokens
    rationale = min(REPLY_SHARE[1] * config.teacher.max_tokens, longest) if method.has_rationale else 4
    sizes = [sum(share.quota - share.missing for share in shares.values()) for shares in stages]
    seen = sum(sum(sizes[: stage + 1]) for stage in range(len(sizes))) * config.training.epochs
    rows = count_measured(config, data.test) * (2 if stages else 1) + count_measured(config, data.dev) * len(stages)
    # Reading a prompt costs about a fifth of writing as many tokens, since it is done in one step.
    generate = rows * (prompt / 5 + min(config.evaluation.max_new_tokens, 1.5 * rationale + 8))
    if method.selection != "random":
        limit = method.max_candidates_per_domain
        for shares in stages[1:]:
            heads = [data.counts.get(name, len(data.train)) for name, share in shares.items() if share.role == "head"]
            candidates = sum(min(size, limit or size) for size in heads)
            written = method.score_max_new_tokens if method.selection == "ifd" else 0
            generate += candidates * (prompt / 5 + written)
    return estimate_seconds(config, seen * (prompt + rationale), generate)


def find_warnings(
    config: Config, method: BalDistillSettings, data: RunData, stages: Sequence[Mapping[str, Share]], totals: Mapping[str, Any]
) -> list[str]:
    """What the user may not want: stages that can't reach all domains, a teacher that runs dry."""
    warnings = []
    smallest = min((sum(share.quota for share in shares.values()) for shares in stages), default=0)
    if stages and method.quota != "none" and smallest < len(data.counts):
        empty = sum(share.quota == 0 for shares in stages for share in shares.values())
        warnings.append(
            f"a stage has {smallest} examples for {len(data.counts)} domains, so {empty} of {len(stages) * len(data.counts)} "
            "quotas are 0; fewer stages or a larger budget would reach every domain in every stage"
        )
    if method.pooling == "premixed" and totals["synthesize"]:
        warnings.append(
            f"pooling: premixed synthesizes all {totals['synthesize']} before stage 0, and they compete with the real "
            "examples; the split by stage shown here is that of pooling: shortfall"
        )
    if totals["missing"]:
        warnings.append(f"{totals['missing']} examples can't be had: the pool runs short and method.tail is {method.tail}")
    needs: dict[str, int] = {}
    for shares in stages:
        for domain, share in shares.items():
            needs[domain] = needs.get(domain, 0) + share.synthesize
    dry = [domain for domain, need in needs.items()
           if need and not data.backend.can_answer(About("synthesize", 0, domain, (), need - 1))]  # fmt: skip
    if dry:
        warnings.append(
            f"the {config.teacher.backend} teacher can't synthesize all that {len(dry)} domain(s) lack: {', '.join(dry[:8])}"
        )
    return warnings


def compare_with_plan(totals: Mapping[str, Any], requests: int, tokens: int, cost_usd: float) -> str:
    """One line that sets what the teacher was really asked beside what was planned."""
    parts = []
    for name, unit, real in (("requests", "requests", requests), ("tokens", "tokens", tokens), ("cost_usd", "USD", cost_usd)):
        planned, digits = totals[name], 2 if name == "cost_usd" else 0
        if planned["likely"] is not None:
            low, likely, high = (f"{planned[key]:,.{digits}f}" for key in ("low", "likely", "high"))
            parts.append(f"{real:,.{digits}f} {unit} (planned {low} to {high}, likely {likely})")
    return "teacher: " + ", ".join(parts)


def _has_rationales(examples: Sequence[Example]) -> bool:
    return any(example.rationale for example in examples)
