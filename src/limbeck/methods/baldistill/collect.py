"""Filling the quotas of a stage: real examples are annotated, the rest is synthesized or repeated; and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from limbeck.data.example import Example, Rejected, explain_rejects
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.pool import Pool
from limbeck.errors import NothingKept
from limbeck.methods.baldistill.feedback import choose_feedback
from limbeck.methods.context import Job
from limbeck.methods.settings import BalDistillSettings
from limbeck.run_folder.folder import StageFolder
from limbeck.selection.quotas import GLOBAL, compute_synthetic_need
from limbeck.system.files import read_json, read_records, write_json, write_jsonl
from limbeck.teacher.purposes.annotate import annotate
from limbeck.teacher.purposes.synthesize import synthesize
from limbeck.teacher.purposes.until_kept import Harvest
from limbeck.teacher.purposes.verify import make_review


def collect(
    job: Job,
    settings: BalDistillSettings,
    pool: Pool,
    queues: Mapping[str, Sequence[Example]],
    quotas: Mapping[str, int],
    stage: int,
    training_set: Sequence[Example],
    known: DuplicateGuard,
    last: StageFolder | None,
) -> Harvest:
    """Fill the quotas: real examples first, then whatever `tail` says completes a domain.

    Where nothing can be had later on, as in a pool of which nothing is left, the run goes on with what it has, and says so.

    Raises:
        NothingKept: nothing was kept although something was wanted, and nothing before.
    """
    job.say(f"annotating up to {sum(quotas.values())} examples", 0, 0)
    harvest = annotate_queues(job, settings, queues, quotas, stage)
    is_premixed = settings.pooling == "premixed"  # then all was synthesized in advance, and a dry domain repeats its own
    if harvest.missing and settings.tail != "none" and GLOBAL not in quotas and (settings.tail == "duplicate" or is_premixed):
        duplicate(harvest, training_set)
    elif harvest.missing and settings.tail == "synthesize" and GLOBAL not in quotas:
        job.say(f"synthesizing {sum(harvest.missing.values())} examples", 0, 0)
        seeds = {domain: with_rationales(pool.originals[domain], [*training_set, *harvest.kept]) for domain in quotas}
        invented = [e for e in training_set if e.provenance.kind == "synthesized"]
        shown = {domain: [*seeds[domain], *(e for e in invented if e.domain == domain)] for domain in harvest.missing}
        first = choose_feedback(job, settings.feedback, shown, stage, last)
        harvest.add(synthesize_for(job, settings, seeds, harvest.missing, stage, known, first))
    wanted = sum(quotas.values())
    if wanted and not harvest.kept and job.teacher.budget.exhausted is None:
        write_jsonl(job.folder.stage(stage).path / "rejected.jsonl", harvest.rejected)
        why = (
            f"stage {stage} kept none of {wanted} wanted examples, so it trains no student: "
            f"{len(harvest.rejected)} rejected ({explain_rejects(harvest.rejected) or 'no candidate was left to choose'}). "
            f"The rejected replies are in {job.folder.stage(stage).path / 'rejected.jsonl'}."
        )
        if not training_set:
            raise NothingKept(why)
        job.note(f"warning: {why}")
    return harvest


def annotate_queues(
    job: Job,
    settings: BalDistillSettings,
    queues: Mapping[str, Sequence[Example]],
    wanted: Mapping[str, int],
    stage: int,
) -> Harvest:
    """Rationales for the first candidates of each queue; synthetic candidates (``premixed``) have one already, and with
    ``annotation: none`` nothing is asked."""
    if settings.annotation == "none":
        return take_as_they_are(job, queues, wanted, stage)
    return annotate(
        job.teacher,
        queues,
        wanted,
        task=job.task,
        stage=stage,
        is_hinted=settings.annotation == "hinted",
        on_mismatch=settings.on_mismatch,
        max_attempts=settings.max_attempts_per_example,
        find_reason=job.find_training_fault,
    )


def take_as_they_are(job: Job, queues: Mapping[str, Sequence[Example]], wanted: Mapping[str, int], stage: int) -> Harvest:
    """The first candidates of each queue without a rationale; those that are too long for training are passed over."""
    harvest = Harvest()
    for group, queue in queues.items():
        missing = wanted[group]
        for example in queue:
            if missing == 0:
                break
            fault = job.find_training_fault(example)
            if fault is None:
                harvest.kept.append(example.but(stage=stage))
                missing -= 1
            else:
                harvest.rejected.append(Rejected(stage, example.domain, fault, example.id))
        if missing:
            harvest.missing[group] = missing
    return harvest


def duplicate(harvest: Harvest, training_set: Sequence[Example]) -> None:
    """Complete each domain by repeating its annotated examples in turn (Duplicate FT-CoT, and the released code where
    its mixed pool runs dry); asks nothing."""
    still_missing = {}
    for domain, count in harvest.missing.items():
        have = [e for e in [*training_set, *harvest.kept] if e.domain == domain]
        base = [e for e in have if e.provenance.copy == 0]
        for place in range(len(have) - len(base), len(have) - len(base) + count if base else 0):
            original = base[place % len(base)]
            harvest.kept.append(original.but(provenance=replace(original.provenance, copy=place // len(base) + 1)))
        if not base:
            still_missing[domain] = count
    harvest.missing = still_missing


def synthesize_for(
    job: Job,
    settings: BalDistillSettings,
    seeds: Mapping[str, Sequence[Example]],
    wanted: Mapping[str, int],
    stage: int,
    known: DuplicateGuard,
    first: Mapping[str, Sequence[Example]] = MappingProxyType({}),
) -> Harvest:
    """New examples for the domains that lack some, verified as `verify` says; prompts show those of `first` before seeds."""
    return synthesize(
        job.teacher,
        seeds,
        wanted,
        task=job.task,
        stage=stage,
        seed=job.seed,
        first=first,
        max_attempts=settings.max_attempts_per_example,
        duplicates=known,
        leaks=job.leaks,
        is_domain_answer=job.is_domain_answer,
        find_reason=job.find_training_fault,
        review=make_review(
            settings.verify,
            job.teacher,
            job.task,
            stage=stage,
            votes=settings.verify_votes,
            agreement=settings.verify_agreement,
        ),
    )


def synthesize_in_advance(job: Job, settings: BalDistillSettings, pool: Pool, known: DuplicateGuard) -> list[Example]:
    """``premixed``: all that the domains will lack over all stages, before stage 0; read again by a resumed run."""
    path = job.folder.path / "premixed.jsonl"
    if path.exists():
        made = read_records(path, Example.from_json)
        for example in made:
            known.add(example)
        return made
    need = compute_synthetic_need(
        settings.quota,
        pool.counts,
        budget=job.max_examples,
        stages=settings.stages,
        offset=settings.adaptive_offset,
        left={domain: pool.count_left(domain) for domain in pool.domains},
    )
    job.say(f"synthesizing {sum(need.values())} examples in advance", 0, 0)
    harvest = synthesize_for(job, settings, pool.originals, need, 0, known)
    write_jsonl(job.folder.path / "premixed_rejected.jsonl", harvest.rejected)
    if job.teacher.budget.exhausted is None:
        write_jsonl(path, harvest.kept)
    return harvest.kept


def with_rationales(originals: Sequence[Example], annotated: Sequence[Example]) -> list[Example]:
    """The seed examples of a domain: its real examples, in their annotated form where there is one."""
    by_id = {example.id: example for example in annotated if example.provenance.copy == 0}
    return [by_id.get(example.id, example) for example in originals]


def write_batch(
    folder: StageFolder, stage: int, quotas: Mapping[str, int], pool: Pool, batch: Harvest, *, is_cut_short: bool
) -> None:
    """Write what a stage collected; `examples.jsonl` last, since it says that the collecting is complete.

    What a cap cut short is collected anew when the run goes on. Where the cap is still spent and the examples are the same, the
    folder stays as it is, with the student that was trained on them; else all that followed from the old ones is thrown away.
    """
    if folder.is_cut_short:
        if is_cut_short and _read_kept(folder) == batch.kept:
            return
        folder.restart()
    domains = {}
    for group in quotas:
        kept = [e for e in batch.kept if group in (GLOBAL, e.domain)]
        left = sum(map(pool.count_left, pool.domains)) if group == GLOBAL else pool.count_left(group)
        domains[group] = {
            "quota": quotas[group],
            "role": "tail" if quotas[group] > left else "head",
            "left": left,
            "real": sum(e.provenance.kind == "real" and not e.provenance.copy for e in kept),
            "synthesized": sum(e.provenance.kind == "synthesized" for e in kept),
            "duplicates": sum(e.provenance.copy > 0 for e in kept),
            "missing": batch.missing.get(group, 0),
        }
    write_json(folder.path / "quotas.json", {"stage": stage, "is_cut_short": is_cut_short, "domains": domains})
    write_jsonl(folder.path / "rejected.jsonl", batch.rejected)
    write_jsonl(folder.path / "examples.jsonl", batch.kept)


def read_batch(folder: StageFolder, known: DuplicateGuard) -> Harvest:
    """Read what `write_batch` wrote, and let the guard know the synthesized examples."""
    kept = _read_kept(folder)
    rejected = read_records(folder.path / "rejected.jsonl", lambda row: Rejected(**row))
    domains = read_json(folder.path / "quotas.json")["domains"]
    for example in kept:
        known.add(example)
    return Harvest(kept, rejected, {domain: facts["missing"] for domain, facts in domains.items() if facts["missing"]})


def _read_kept(folder: StageFolder) -> list[Example]:
    return read_records(folder.path / "examples.jsonl", Example.from_json)
