"""Checks on what the teacher invents: repeats, and how varied the inventions are."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.diversity import describe_paraphrased, describe_summary, measure_domains, summarize
from limbeck.data.example import Example
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.vectors import Vectors
from limbeck.methods.context import MethodContext
from limbeck.methods.method import MethodSettings
from limbeck.run_folder.stage import StageFolder


def make_guard(context: MethodContext, settings: MethodSettings) -> DuplicateGuard:
    """Create the guard that rejects repeats of the context's examples and of examples kept later.

    Raises:
        ConfigError: ``near_duplicates: embedding``, but the encoder's wheel is missing; the message has the install command.
    """
    if settings.near_duplicates == "minhash":
        return DuplicateGuard(context.examples)
    vectors = Vectors(context.engine.embed_texts, context.examples)
    return DuplicateGuard(context.examples, vectors=vectors, min_cosine=settings.near_duplicate_cosine)


def watch_diversity(context: MethodContext, known: DuplicateGuard, folder: StageFolder, kept: Sequence[Example]) -> None:
    """Measure how varied all inventions so far are, and warn about domains with little more than paraphrases.

    The figures go to the run folder and, as the last step, to the stage's folder; the warning also goes to the run's state.
    Does nothing if nothing was invented, or if the stage is already done and measured.

    Args:
        context: its examples are the real ones.
        known: has the vectors, if there are any.
        folder: of the stage or round that was just collected.
        kept: all examples kept so far, over all stages.
    """
    invented = [e for e in kept if e.provenance.kind == "synthesized" and not e.provenance.copy]
    if not invented or (folder.is_done and folder.diversity.exists()):
        return
    context.on_progress(f"comparing {len(invented)} synthesized examples", 0, 0)
    domains = measure_domains(context.examples, invented, known.vectors)
    warnings = dict(context.folder.state.get("warnings") or {})
    warnings.pop(folder.path.name, None)  # left from before the stage was collected again
    if (text := describe_paraphrased(domains)) is not None:
        warnings[folder.path.name] = text
        context.on_note(f"warning: {text}")
    context.folder.update_state(warnings=warnings)
    summary = summarize(domains)
    facts = {"text": describe_summary(summary), "summary": summary, "domains": domains}
    for file in (context.folder.diversity, folder.diversity):
        file.write(facts)
