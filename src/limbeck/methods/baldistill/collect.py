"""Fills the quotas of a stage: annotates real examples, and synthesizes or repeats the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from limbeck.data.example import Example, Rejected, explain_rejects
from limbeck.errors import NothingKept
from limbeck.methods.baldistill.feedback import choose_feedback
from limbeck.methods.baldistill.state import BalDistillState
from limbeck.run_folder.stage import count_domain
from limbeck.selection.quotas import GLOBAL, compute_synthetic_need
from limbeck.teacher.purposes.annotate import annotate
from limbeck.teacher.purposes.synthesize import synthesize
from limbeck.teacher.purposes.until_kept import AskResult


def collect(state: BalDistillState, queues: Mapping[str, Sequence[Example]], quotas: Mapping[str, int]) -> AskResult:
    """Fill the quotas: real examples first, then the method's `tail` completes each domain.

    If a later stage gets nothing, for example because the pool is empty, the run warns and continues with what it has.

    Raises:
        NothingKept: something was wanted, but nothing was kept in this stage or earlier.
    """
    context, settings = state.context, state.settings
    context.on_progress(f"annotating up to {sum(quotas.values())} examples", 0, 0)
    batch = annotate_queues(state, queues, quotas)
    is_completed = bool(batch.missing) and GLOBAL not in quotas
    is_premixed = settings.pooling == "premixed"  # all synthesized in advance; a domain that runs dry repeats its own
    if is_completed and settings.tail != "none" and (settings.tail == "duplicate" or is_premixed):
        duplicate(batch, state.training_set)
    elif is_completed and settings.tail == "synthesize":
        context.on_progress(f"synthesizing {sum(batch.missing.values())} examples", 0, 0)
        known = [*state.training_set, *batch.kept]
        seeds = {domain: with_rationales(state.pool.originals[domain], known) for domain in quotas}
        invented = [e for e in state.training_set if e.provenance.kind == "synthesized"]
        shown = {domain: [*seeds[domain], *(e for e in invented if e.domain == domain)] for domain in batch.missing}
        batch.add(synthesize_for(state, seeds, batch.missing, choose_feedback(state, shown)))
    if sum(quotas.values()) and not batch.kept and not state.is_spent:
        report_nothing(state, batch, quotas)
    return batch


def report_nothing(state: BalDistillState, batch: AskResult, quotas: Mapping[str, int]) -> None:
    """Report that a stage kept none of the wanted examples.

    Raises:
        NothingKept: no earlier stage kept any either.
    """
    file = state.folder.rejected
    state.folder.write_counts(count_groups(state, quotas, batch), batch.rejected)
    why = (
        f"stage {state.stage} kept none of {sum(quotas.values())} wanted examples, so it trains no student: "
        f"{len(batch.rejected)} rejected ({explain_rejects(batch.rejected) or 'no candidate was left to choose'}). "
        f"The rejected replies are in {file.path}."
    )
    if not state.training_set:
        raise NothingKept(why)
    state.context.on_note(f"warning: {why}")


def annotate_queues(state: BalDistillState, queues: Mapping[str, Sequence[Example]], wanted: Mapping[str, int]) -> AskResult:
    """Get rationales for the first candidates of each queue.

    Synthetic candidates (``premixed``) have one already. With ``annotation: none`` nothing is asked.
    """
    if state.settings.annotation == "none":
        return take_as_they_are(state, queues, wanted)
    is_hinted = state.settings.annotation == "hinted"
    return annotate(state.make_scope(), queues, wanted, is_hinted=is_hinted, on_mismatch=state.settings.on_mismatch)


def take_as_they_are(state: BalDistillState, queues: Mapping[str, Sequence[Example]], wanted: Mapping[str, int]) -> AskResult:
    """Take the first candidates of each queue without a rationale, skipping those that are too long for training."""
    batch = AskResult()
    for group, queue in queues.items():
        missing = wanted[group]
        for example in queue:
            if missing == 0:
                break
            fault = state.context.engine.find_fault(example)
            if fault is None:
                batch.kept.append(example.but(stage=state.stage))
                missing -= 1
            else:
                batch.rejected.append(Rejected(state.stage, example.domain, fault, example.id))
        if missing:
            batch.missing[group] = missing
    return batch


def duplicate(batch: AskResult, training_set: Sequence[Example]) -> None:
    """Complete each domain by repeating its annotated examples in turn; asks nothing.

    This is the paper's Duplicate FT-CoT, and what the released code does when a mixed pool runs dry.
    """
    still_missing = {}
    for domain, count in batch.missing.items():
        have = [e for e in [*training_set, *batch.kept] if e.domain == domain]
        base = [e for e in have if e.provenance.copy == 0]
        for place in range(len(have) - len(base), len(have) - len(base) + count if base else 0):
            original = base[place % len(base)]
            batch.kept.append(original.but(provenance=replace(original.provenance, copy=place // len(base) + 1)))
        if not base:
            still_missing[domain] = count
    batch.missing = still_missing


def synthesize_for(
    state: BalDistillState,
    seeds: Mapping[str, Sequence[Example]],
    wanted: Mapping[str, int],
    first: Mapping[str, Sequence[Example]] = MappingProxyType({}),
) -> AskResult:
    """Synthesize examples for the domains that lack some; prompts show the examples of `first` before the seeds."""
    is_domain_answer = state.context.is_domain_answer
    return synthesize(state.make_scope(), seeds, wanted, is_domain_answer=is_domain_answer, first=first)


def synthesize_in_advance(state: BalDistillState) -> list[Example]:
    """``premixed``: synthesize before stage 0 what the domains will lack over all stages; a resumed run reads it."""
    context, settings, pool = state.context, state.settings, state.pool
    file = context.folder.premixed
    if file.exists():
        made = file.read()
        for example in made:
            state.known.add(example)
        return made
    need = compute_synthetic_need(
        settings.quota,
        pool.counts,
        budget=context.max_examples,
        stages=settings.stages,
        offset=settings.adaptive_offset,
        left={domain: pool.count_left(domain) for domain in pool.domains},
    )
    context.on_progress(f"synthesizing {sum(need.values())} examples in advance", 0, 0)
    batch = synthesize_for(state, pool.originals, need)
    context.folder.premixed_rejected.write(batch.rejected)
    if not state.is_spent:
        file.write(batch.kept)
    return batch.kept


def with_rationales(originals: Sequence[Example], annotated: Sequence[Example]) -> list[Example]:
    """The seed examples of a domain: its real examples, in annotated form if there is one."""
    by_id = {example.id: example for example in annotated if example.provenance.copy == 0}
    return [by_id.get(example.id, example) for example in originals]


def write_batch(state: BalDistillState, quotas: Mapping[str, int], batch: AskResult) -> None:
    """Write what a stage collected.

    A stage that a cap cut short is collected again when the run continues. If the cap still ends it and the examples are the
    same, the folder and the student trained on them stay as they are; otherwise everything that followed is deleted.
    """
    folder = state.folder
    if folder.is_cut_short:
        if state.is_spent and folder.examples.read() == batch.kept:
            return
        folder.restart()
    domains = count_groups(state, quotas, batch)
    folder.write_collected(domains, batch.kept, batch.rejected, is_cut_short=state.is_spent)


def count_groups(state: BalDistillState, quotas: Mapping[str, int], batch: AskResult) -> dict[str, dict[str, Any]]:
    """The counts of each domain, or of the whole pool if the quota is not split."""
    pool, domains = state.pool, {}
    for group in quotas:
        kept = [e for e in batch.kept if group in (GLOBAL, e.domain)]
        left = sum(map(pool.count_left, pool.domains)) if group == GLOBAL else pool.count_left(group)
        role = "tail" if quotas[group] > left else "head"
        domains[group] = count_domain(kept, quotas[group], role=role, left=left, missing=batch.missing.get(group, 0))
    return domains


def read_batch(state: BalDistillState) -> AskResult:
    """Read what `write_batch` wrote, and add the examples to the guard."""
    folder = state.folder
    kept = folder.examples.read()
    for example in kept:
        state.known.add(example)
    return AskResult(kept, folder.rejected.read(), folder.missing)
