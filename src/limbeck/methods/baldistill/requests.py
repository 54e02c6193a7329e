"""Estimates BalDistill's requests by stage, domain and purpose, before anything is asked. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limbeck.data.pool import Pool
from limbeck.inputs.data import RunData
from limbeck.inputs.sections import Sections
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.planner.estimate import KEPT, Estimator, take_sample
from limbeck.run_folder.plan import NOTHING, PlannedRequests, Range
from limbeck.selection.quotas import GLOBAL, Share, foresee_stages
from limbeck.teacher.purposes import annotate, synthesize
from limbeck.teacher.purposes.prompts import load_template


def open_pool(data: RunData) -> Pool:
    """The pool at the start of the run."""
    pool = Pool(data.train)
    pool.remove(data.unavailable)
    return pool


def foresee_shares(config: Sections, method: BalDistillSettings, pool: Pool) -> list[dict[str, Share]]:
    """What each domain contributes to each stage if every candidate that is taken is kept."""
    left = {domain: pool.count_left(domain) for domain in pool.domains}
    return foresee_stages(
        method.quota,
        pool.counts,
        left,
        budget=config.budget.max_examples,
        stages=method.stages,
        offset=method.adaptive_offset,
        tail=method.tail,
    )


def plan_requests(
    estimator: Estimator, method: BalDistillSettings, data: RunData, pool: Pool, stages: Sequence[Mapping[str, Share]]
) -> list[PlannedRequests]:
    """Plan the requests of all stages.

    A head domain replaces a rejected candidate with its next one. A tail domain has none left, so a new one is synthesized.
    """
    explain, lost = foresee_annotation(estimator, method)
    invent = foresee_synthesis(estimator, method)
    wanted: dict[tuple[int, str, str], Range] = {}
    for stage, shares in enumerate(stages):
        for domain, share in shares.items():
            if share.real and method.annotation != "none":
                wanted[stage, "annotate", domain] = (Range(1, 1, 1) if share.role == "tail" else explain) * share.real
            if share.synthesize:
                lack = Range(1, 1, 1) * share.synthesize
                is_premixed = method.pooling == "premixed"  # all in advance; a domain that runs dry repeats its own examples
                key = (0 if is_premixed else stage, "synthesize", domain)
                lack = lack if is_premixed else lack + lost * share.real
                wanted[key] = wanted.get(key, NOTHING) + invent * lack
                if method.verify == "vote":  # on every new example that passes the other checks
                    votes = Range(1, max(1, invent.likely * KEPT["synthesize"]), invent.high) * method.verify_votes
                    key = (key[0], "verify", domain)
                    wanted[key] = wanted.get(key, NOTHING) + votes * lack
    measured: dict[tuple[str, str], tuple[Range, Range]] = {}
    found = []
    for (stage, purpose, domain), tries in sorted(wanted.items(), key=lambda item: item[0][:2]):
        if (purpose, domain) not in measured:
            measured[purpose, domain] = measure_request(estimator, method, data, pool, purpose, domain)
        found.append(estimator.plan(stage, domain, purpose, tries, *measured[purpose, domain]))
    return found


def foresee_synthesis(estimator: Estimator, method: BalDistillSettings) -> Range:
    """Requests per new example that is kept; a kept share from an earlier run already includes verification."""
    guess = KEPT["synthesize"] * (1.0 if method.verify == "none" else KEPT["verify"])
    return estimator.foresee_tries("synthesize", guess, method.max_attempts_per_example)


def foresee_annotation(estimator: Estimator, method: BalDistillSettings) -> tuple[Range, Range]:
    """``(tries, lost)``: requests per example that a head domain keeps, and the share of examples that a tail domain loses."""
    if method.on_mismatch == "consume":
        return Range(1, 1, 1), NOTHING
    guess = KEPT.get(method.annotation, 1.0)
    known = estimator.learned.compute_kept_share("annotate")
    lost = Range(0, 1 - guess, 1) if known is None else Range(1 - known.high, 1 - known.likely, 1 - known.low)
    return estimator.foresee_tries("annotate", guess, method.max_attempts_per_example), lost


def measure_request(
    estimator: Estimator, method: BalDistillSettings, data: RunData, pool: Pool, purpose: str, domain: str
) -> tuple[Range, Range]:
    """Mean tokens of one request's prompt and reply, measured on real prompts."""
    settings, task = estimator.config.teacher, data.task
    template = load_template("annotate", settings.templates.get("annotate"))
    candidates = [e for name in pool.domains if domain in (GLOBAL, name) for e in pool.candidates(name)]
    shown = take_sample(candidates or pool.originals[domain])
    guess = estimator.guess_reply([example.rationale for example in shown if example.rationale])
    explained = estimator.foresee_reply("annotate", domain, guess)
    if purpose in ("annotate", "verify"):  # a vote is a blind annotation
        is_hinted = purpose == "annotate" and method.annotation == "hinted"
        texts = [annotate.write_prompt(template, task, example, is_hinted=is_hinted) for example in shown]
        reply = estimator.foresee_reply(purpose, domain, explained)
        return estimator.foresee_prompt(purpose, [[{"role": "user", "content": text}] for text in texts]), reply
    seeds = take_sample(pool.originals[domain])[: settings.seed_examples]
    template = load_template("synthesize", settings.templates.get("synthesize"))
    text = synthesize.write_prompt(
        template, task, domain, seeds, is_domain_answer=estimator.config.data.domain == "answer", is_json=settings.json_schema
    )
    prompt = estimator.foresee_prompt(purpose, [[{"role": "user", "content": text}]])
    if method.annotation != "none" and method.pooling == "shortfall":
        # A tail domain's real examples are annotated first, and are shown with the teacher's rationales.
        bare = sum(not example.rationale for example in seeds)
        prompt += explained * Range(0, 1, 1) * bare
    written = [f"{example.question} {example.rationale}" for example in seeds if example.rationale]
    return prompt, estimator.foresee_reply(purpose, domain, estimator.guess_reply(written))
