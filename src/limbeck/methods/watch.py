"""What is watched while the teacher invents: repeats, and how varied the inventions are."""

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
    """The guard against repeats of the context's examples and of what is kept later.

    Raises:
        ConfigError: ``near_duplicates: embedding`` without the encoder's wheel; the message has the install command.
    """
    if settings.near_duplicates == "minhash":
        return DuplicateGuard(context.examples)
    vectors = Vectors(context.engine.embed_texts, context.examples)
    return DuplicateGuard(context.examples, vectors=vectors, min_cosine=settings.near_duplicate_cosine)


def watch_diversity(context: MethodContext, known: DuplicateGuard, folder: StageFolder, kept: Sequence[Example]) -> None:
    """Measure how varied all inventions so far are, and warn of domains where they are little more than paraphrases.

    Written to the stage's ``diversity.json``, which is there when all this is done, and to that of the run folder; the warning
    also to ``run.json``. Nothing happens where nothing was invented, or where the stage was done already.

    Args:
        context: its examples are the real ones.
        known: has the vectors, where there are some.
        folder: of the stage or round that has just been collected.
        kept: all examples kept so far, of all stages.
    """
    invented = [e for e in kept if e.provenance.kind == "synthesized" and not e.provenance.copy]
    if not invented or (folder.is_done and folder.diversity.exists()):
        return
    context.on_progress(f"comparing {len(invented)} synthesized examples", 0, 0)
    domains = measure_domains(context.examples, invented, known.vectors)
    warnings = dict(context.folder.state.get("warnings") or {})
    warnings.pop(folder.path.name, None)  # of this stage before it was collected anew
    if (text := describe_paraphrased(domains)) is not None:
        warnings[folder.path.name] = text
        context.on_note(f"warning: {text}")
    context.folder.update_state(warnings=warnings)
    summary = summarize(domains)
    facts = {"text": describe_summary(summary), "summary": summary, "domains": domains}
    for file in (context.folder.diversity, folder.diversity):
        file.write(facts)
