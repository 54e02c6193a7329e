"""ROUGE-L of one answer, computed with Google's `rouge_score`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def compute_rouge_l(prediction: str | None, gold: str) -> float:
    """Compute the F-measure of the longest common subsequence of words, 0 to 1, higher = closer, without a stemmer.

    Words are runs of ``a-z0-9`` in lower case, so the operators of a formulation are ignored. No prediction gives 0.
    """
    return float(_load_scorer().score(gold, prediction or "")["rougeL"].fmeasure)


@lru_cache(maxsize=1)
def _load_scorer() -> Any:  # noqa: ANN401
    from rouge_score.rouge_scorer import RougeScorer  # imported here because it loads nltk and few tasks need it

    return RougeScorer(["rougeL"], use_stemmer=False)
