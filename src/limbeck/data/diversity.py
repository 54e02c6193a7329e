"""Measures how varied a domain's questions are, real and synthesized, and detects inventions that are mere paraphrases.

Distinct-2: Li et al., "A Diversity-Promoting Objective Function", NAACL 2016, arXiv 1510.03055. The paper divides by the number
of words; we divide by the number of word pairs, so the result is a share. Similarity is
`limbeck.data.overlap.measure_similarity` and, if there are vectors, their cosine. Pure arithmetic: the same questions give the
same numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.data.example import Example
from limbeck.data.overlap import NEAR_DUPLICATE_JACCARD, list_words, make_shingles, measure_jaccard, normalise_question
from limbeck.data.vectors import COSINE_DIGITS, Vectors
from limbeck.hashing import hash_text

MOST_TEXTS = 200
"""At most this many real and this many synthesized questions of a domain are measured, chosen by the hash of their text."""
PARAPHRASED_FROM = 4
"""A domain needs this many inventions to be called paraphrased, and this many real questions to estimate how alike they are."""
PARAPHRASED = {"nearest_similarity": (0.35, 0.25), "nearest_cosine": (0.92, 0.10)}
"""``measure: (minimum, minimum distance above the real questions' value)``; docs/methods.md explains the figures."""
MOST_NAMED = 5  # domains listed in a warning
UNKNOWN_REAL = {"nearest_similarity": 0.30, "nearest_cosine": 0.75}
"""Assumed similarity of real questions if no domain has enough of them."""

Matrix = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""Similarities between two lists of texts, shape (first, second), higher = more alike."""


def measure_distinct_2(texts: Sequence[str]) -> float | None:
    """Distinct-2: distinct word pairs over all word pairs of the texts, 0 to 1; higher = more varied.

    It falls as the number of texts grows, so compare equal numbers. None if no text has two words.
    """
    words = [list_words(normalise_question(text)) for text in texts]
    pairs = [pair for each in words for pair in itertools.pairwise(each)]
    return len(set(pairs)) / len(pairs) if pairs else None


def choose_texts(texts: Sequence[str], most: int) -> list[str]:
    """Choose at most `most` texts, those with the lowest hashes, in their original order."""
    chosen = set(sorted(range(len(texts)), key=lambda place: (hash_text(texts[place]), place))[:most])
    return [text for place, text in enumerate(texts) if place in chosen]


def compare_shingles(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Jaccard similarity of the word 3-shingles of texts, shape (first, second), 0 to 1."""
    rows, columns = ([make_shingles(text) for text in texts] for texts in (first, second))
    return np.array([[measure_jaccard(a, b) for b in columns] for a in rows]).reshape(len(rows), len(columns))


def measure_domain(
    real: Sequence[str], synthesized: Sequence[str], compare_vectors: Matrix | None = None
) -> dict[str, dict[str, Any]]:
    """Measure the diversity of one domain.

    Args:
        real: questions of its real examples.
        synthesized: questions of its inventions, in the order they were kept.
        compare_vectors: cosines of texts, if there are vectors.

    Returns:
        ``real`` and ``synthesized``, each with

        - ``count``, and ``measured``, which is at most `MOST_TEXTS`;
        - ``distinct_2``, for equal numbers of real and synthesized questions, because it falls as the number grows;
        - ``nearest_similarity``: each question's highest similarity, averaged. A real question is compared with the other real
          ones, an invention with all real ones and the earlier inventions. With vectors also ``nearest_cosine``;
        - ``near_duplicates_of_real``: the share of questions whose similarity to a real one (for a real question: to another
          real one) is at least 0.8. Different numbers don't matter: a template with other numbers counts here, although
          `DuplicateGuard` keeps it.

        Values that can't be measured are None.
    """
    groups = {"real": choose_texts(real, MOST_TEXTS), "synthesized": choose_texts(synthesized, MOST_TEXTS)}
    size = min(map(len, groups.values())) or MOST_TEXTS
    found: dict[str, dict[str, Any]] = {}
    for name, texts in groups.items():
        found[name] = {"count": len(real if name == "real" else synthesized), "measured": len(texts)}
        found[name]["distinct_2"] = _round(measure_distinct_2(choose_texts(texts, size)))
    measures = {"similarity": compare_shingles} | ({} if compare_vectors is None else {"cosine": compare_vectors})
    for measure, compare in measures.items():
        for name, texts in groups.items():
            to_real = None if name == "real" else compare(texts, groups["real"])
            found[name] |= _measure_likeness(measure, compare(texts, texts), to_real)
    return found


def _measure_likeness(measure: str, among: np.ndarray, to_real: np.ndarray | None) -> dict[str, float | None]:
    """Nearest question and near-duplicates by one measure, from similarities `among` the questions and `to_real` ones."""
    is_real = to_real is None
    # A question is not compared with itself, nor an invention with later ones.
    blind = np.eye(len(among), dtype=bool) if is_real else np.triu(np.ones_like(among, dtype=bool))
    others = np.where(blind, -1.0, among)
    found = {f"nearest_{measure}": _mean_of_highest(others if to_real is None else np.hstack([others, to_real]))}
    if measure == "similarity":
        found["near_duplicates_of_real"] = _share_of_near(others if to_real is None else to_real)
    return found


def _share_of_near(matrix: np.ndarray) -> float | None:
    """Share of rows with a value of at least `NEAR_DUPLICATE_JACCARD`; None if nothing was compared."""
    return _round((matrix.max(axis=1) >= NEAR_DUPLICATE_JACCARD).mean()) if matrix.size else None


def _mean_of_highest(matrix: np.ndarray) -> float | None:
    """Mean of the rows' highest values; rows that were compared with nothing (all −1) are skipped."""
    highest = matrix.max(axis=1) if matrix.size else np.zeros(0)
    highest = highest[highest > -1]
    return _round(highest.mean()) if highest.size else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), COSINE_DIGITS)


def measure_domains(
    real: Sequence[Example], synthesized: Sequence[Example], vectors: Vectors | None = None
) -> dict[str, dict[str, Any]]:
    """Run `measure_domain` on each domain and add ``is_paraphrased``; domains are in alphabetical order.

    Vectors are looked up only in domains that have inventions.
    """
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for place, examples in enumerate((real, synthesized)):
        for example in examples:
            groups.setdefault(example.domain, ([], []))[place].append(example.question)
    domains: dict[str, dict[str, Any]] = {}
    for name, (questions, inventions) in sorted(groups.items()):

        def compare(first: Sequence[str], second: Sequence[str], name: str = name) -> np.ndarray:
            assert vectors is not None  # noqa: S101 (only called if there are vectors)
            if not first or not second:
                return np.zeros((len(first), len(second)))
            cosines: np.ndarray = vectors.find(first, name) @ vectors.find(second, name).T
            return cosines

        domains[name] = measure_domain(questions, inventions, compare if vectors is not None and inventions else None)
    for name, entry in domains.items():
        entry["is_paraphrased"] = is_paraphrased(entry, estimate_real_similarity(domains, name))
    return domains


def estimate_real_similarity(domains: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, float]:
    """Estimate how alike the real questions of a domain are, by each measure in `PARAPHRASED`.

    A domain with at least `PARAPHRASED_FROM` real questions has its own value. A domain with fewer gets the larger of its own
    value and the mean of the domains that have enough (`UNKNOWN_REAL` if there are none).
    """
    found = {}
    for measure, unknown in UNKNOWN_REAL.items():
        measured = {each: entry["real"].get(measure) for each, entry in domains.items()}
        known = {
            each: value
            for each, value in measured.items()
            if value is not None and domains[each]["real"]["measured"] >= PARAPHRASED_FROM
        }
        usual = sum(known.values()) / len(known) if known else unknown
        found[measure] = known.get(name, max(usual, measured[name] or 0.0))
    return found


def is_paraphrased(entry: Mapping[str, Any], real: Mapping[str, float]) -> bool:
    """Whether the inventions of a domain are little more than paraphrases of earlier questions.

    This needs at least `PARAPHRASED_FROM` inventions whose nearest questions are too similar on average (`PARAPHRASED`), by
    their words or, if there are vectors, by their meaning.

    Args:
        entry: the result of `measure_domain`.
        real: the result of `estimate_real_similarity`.
    """
    invented = entry["synthesized"]
    return invented["measured"] >= PARAPHRASED_FROM and any(
        invented.get(measure) is not None and invented[measure] >= max(at_least, real[measure] + above)
        for measure, (at_least, above) in PARAPHRASED.items()
    )


def describe_paraphrased(domains: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The warning about domains whose inventions are paraphrases (worst first), with figures and remedies, or None."""
    found = [name for name, entry in domains.items() if entry["is_paraphrased"]]
    if not found:
        return None
    found.sort(key=lambda name: (-domains[name]["synthesized"]["nearest_similarity"], name))

    def show(name: str) -> str:
        invented, real = domains[name]["synthesized"], estimate_real_similarity(domains, name)
        parts = [
            f"{what} {invented[measure]:.2f}, real examples {real[measure]:.2f}"
            for measure, what in (("nearest_similarity", "3-shingle Jaccard"), ("nearest_cosine", "cosine"))
            if invented.get(measure) is not None
        ]
        return f"{name} ({invented['count']} examples: {'; '.join(parts)})"

    more = f", and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    named = ", ".join(map(show, found[:MOST_NAMED])) + more
    return (
        f"the synthesized examples of {len(found)} domain(s) are little more than paraphrases, judged by the mean similarity "
        f"to the nearest known question: {named}. Raise teacher.temperature or teacher.seed_examples, set method.feedback or "
        "method.near_duplicates: embedding, rewrite teacher.templates.synthesize, or request fewer examples of these domains"
    )


def summarize(domains: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means and total counts over the domains with inventions, for both kinds of questions, and the paraphrased domains."""
    with_inventions = {name: entry for name, entry in domains.items() if entry["synthesized"]["count"]}
    found: dict[str, Any] = {"domains": len(with_inventions)}
    for kind in ("real", "synthesized"):
        names = dict.fromkeys(key for entry in with_inventions.values() for key in entry[kind])
        found[kind] = {"count": sum(entry[kind]["count"] for entry in with_inventions.values())}
        for key in names:
            values = [entry[kind][key] for entry in with_inventions.values() if entry[kind].get(key) is not None]
            if key not in ("count", "measured"):
                found[kind][key] = _round(sum(values) / len(values)) if values else None
    found["paraphrased"] = [name for name, entry in domains.items() if entry["is_paraphrased"]]
    return found


def describe_summary(summary: Mapping[str, Any]) -> str:
    """A one-line summary for the user."""

    def show(kind: str, key: str) -> str:
        value = summary[kind].get(key)
        return "–" if value is None else f"{value:.2f}"

    invented = summary["synthesized"]
    return (
        f"diversity of {invented['count']} synthesized examples in {summary['domains']} domain(s) (real examples in brackets): "
        f"distinct-2 {show('synthesized', 'distinct_2')} ({show('real', 'distinct_2')}), "
        f"nearest other question {show('synthesized', 'nearest_similarity')} ({show('real', 'nearest_similarity')}), "
        f"near-duplicates of real questions {show('synthesized', 'near_duplicates_of_real')} "
        f"({show('real', 'near_duplicates_of_real')}); "
        f"little more than paraphrases: {', '.join(summary['paraphrased']) or 'none'}"
    )
