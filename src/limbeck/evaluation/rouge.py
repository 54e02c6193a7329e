"""ROUGE-L of one answer, by Google's `rouge_score`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def compute_rouge_l(prediction: str | None, gold: str) -> float:
    """The F-measure of the longest common subsequence of words, 0 to 1, higher = closer; no stemmer.

    Words are runs of ``a-z0-9`` in lower case, so the signs of a formulation count for nothing; no prediction gives 0.
    """
    return float(_load_scorer().score(gold, prediction or "")["rougeL"].fmeasure)


@lru_cache(maxsize=1)
def _load_scorer() -> Any:  # noqa: ANN401
    from rouge_score.rouge_scorer import RougeScorer  # here, since it loads nltk and few tasks need it

    return RougeScorer(["rougeL"], use_stemmer=False)
