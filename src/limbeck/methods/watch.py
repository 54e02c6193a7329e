"""What is watched while the teacher invents: repeats, and how varied the inventions are."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.diversity import describe_paraphrased, describe_summary, measure_domains, summarize
from limbeck.data.example import Example
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.vectors import Vectors
from limbeck.methods.context import Job
from limbeck.run_folder.folder import StageFolder
from limbeck.student.embed import load_minilm
from limbeck.system.files import write_json

DIVERSITY = "diversity.json"


def make_guard(job: Job, near_duplicates: str, min_cosine: float) -> DuplicateGuard:
    """The guard against repeats of the job's examples and of what is kept later.

    Raises:
        ConfigError: ``near_duplicates: embedding`` without the encoder's wheel; the message has the install command.
    """
    if near_duplicates == "minhash":
        return DuplicateGuard(job.examples)
    return DuplicateGuard(job.examples, vectors=Vectors(load_minilm(), job.examples), min_cosine=min_cosine)


def watch_diversity(job: Job, known: DuplicateGuard, folder: StageFolder, kept: Sequence[Example]) -> None:
    """Measure how varied all inventions so far are, and warn of domains where they are little more than paraphrases.

    Written to the stage's ``diversity.json``, which is there when all this is done, and to that of the run folder; the warning
    also to ``run.json``. Nothing happens where nothing was invented, or where the stage was done already.

    Args:
        job: its examples are the real ones.
        known: has the vectors, where there are some.
        folder: of the stage or round that has just been collected.
        kept: all examples kept so far, of all stages.
    """
    invented = [e for e in kept if e.provenance.kind == "synthesized" and not e.provenance.copy]
    if not invented or (folder.is_done and (folder.path / DIVERSITY).exists()):
        return
    job.say(f"comparing {len(invented)} synthesized examples", 0, 0)
    domains = measure_domains(job.examples, invented, known.vectors)
    warnings = dict(job.folder.state.get("warnings") or {})
    warnings.pop(folder.path.name, None)  # of this stage before it was collected anew
    if (text := describe_paraphrased(domains)) is not None:
        warnings[folder.path.name] = text
        job.note(f"warning: {text}")
    job.folder.update_state(warnings=warnings)
    summary = summarize(domains)
    facts = {"text": describe_summary(summary), "summary": summary, "domains": domains}
    for place in (job.folder.path, folder.path):
        write_json(place / DIVERSITY, facts)
