"""Overlap between examples: exact repeats, near-duplicates, and leaks into the test set (see `docs/methods.md`)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example
from limbeck.data.vectors import COSINE_DIGITS, Vectors

NGRAM_WORDS = 8
LEAK_SHARE = 0.60
BRACKETS = frozenset("()[]{}")
COMMON_SHARE = 0.01
HELD_OUT_TEMPLATE_ROWS = 8  # text shared by fewer held-out rows may just as well be a near-repeat
SHINGLE_WORDS = 3
NEAR_DUPLICATE_JACCARD = 0.80
_PERMUTATIONS = 128
_CANDIDATE_JACCARD = 0.5  # LSH misses pairs near its threshold (64% of those at 0.8); candidates are checked exactly


def normalise_question(text: str) -> str:
    """Lower-case a text and fold punctuation and spaces to single spaces; numbers, signs and brackets are kept."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # A hyphen that is a sign or a minus is part of the problem; one that joins words is not.
    folded = re.sub(r"(?<![\w)])-(?=\s*[\d.])|(?<=[\d)])\s*-(?=\s*[\d(])|(?<=\s)-(?=\s)", " − ", folded)
    folded = re.sub(r"([()\[\]{}])", r" \1 ", folded)  # two questions may differ in brackets only
    return " ".join(re.sub(r"[^\w+*/^=<>−×÷()\[\]{}]|_", " ", folded).split()) or folded.strip()


def make_ngrams(text: str, words: int = NGRAM_WORDS) -> set[str]:
    """The word n-grams of a normalised text without brackets; empty if it has fewer than `words` words."""
    parts = [part for part in text.split() if part not in BRACKETS]
    return {" ".join(parts[i : i + words]) for i in range(len(parts) - words + 1)}


class LeakGuard:
    """Finds rows that leak into the test (or dev) set.

    A row leaks if it equals a held-out row after `normalise_question`, or if at least 60% of its 8-grams are in *one*
    held-out row. 8-grams in more than 1% of the training rows are template text and don't count; the same goes for those in
    more than 1% of the held-out rows, where the template of a rare domain is not rare. A row without other 8-grams leaks
    only by equality. Numbers are part of the text, so another short problem of the same form is not a leak.
    """

    def __init__(self, held_out: Iterable[tuple[str, str]], train: Sequence[str]) -> None:
        """Take held-out rows as ``(id, question)`` and the questions of all training rows."""
        rows = [(row, normalise_question(question)) for row, question in held_out]
        self._common = _find_common([normalise_question(question) for question in train])
        self._common |= _find_common([text for _, text in rows], at_least=HELD_OUT_TEMPLATE_ROWS)
        self._exact: dict[str, str] = {}
        self._rows_with: defaultdict[str, set[str]] = defaultdict(set)
        for row, text in rows:
            self._exact[text] = row
            for ngram in make_ngrams(text) - self._common:
                self._rows_with[ngram].add(row)

    def find_leak(self, question: str) -> str | None:
        """The id of the held-out row that this question repeats, or None."""
        text = normalise_question(question)
        if text in self._exact:
            return self._exact[text]
        ngrams = make_ngrams(text) - self._common
        hits: Counter[str] = Counter()
        for ngram in ngrams:
            hits.update(self._rows_with.get(ngram, ()))
        if not hits:
            return None
        row, count = min(hits.items(), key=lambda item: (-item[1], item[0]))
        return row if count >= LEAK_SHARE * len(ngrams) else None


def _find_common(texts: Sequence[str], at_least: int = 2) -> set[str]:
    """The 8-grams that occur in more than 1% of the texts and in at least `at_least` texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(make_ngrams(text))
    return {ngram for ngram, count in counts.items() if count >= at_least and count > COMMON_SHARE * len(texts)}


class _Known(NamedTuple):
    shingles: set[str]
    numbers: list[str]
    domain: str
    question: str


class DuplicateGuard:
    """Remembers questions and recognises repeats: exact ones (after `normalise_question`) and near-duplicates.

    Near-duplicates have a Jaccard similarity of their word 3-shingles ≥ 0.8; MinHash (128 permutations) finds candidates,
    which are checked exactly. With `vectors`, a cosine ≥ `min_cosine` also makes a near-duplicate, but only within a domain,
    because a sentence encoder puts a positive and a negative review in the same words close together. In number and math
    tasks, questions with different numbers are never near-duplicates, by either measure.
    """

    def __init__(self, examples: Iterable[Example] = (), *, vectors: Vectors | None = None, min_cosine: float = 1.0) -> None:
        self._exact: dict[str, str] = {}
        self._near = MinHashLSH(threshold=_CANDIDATE_JACCARD, num_perm=_PERMUTATIONS)
        self._known: dict[str, _Known] = {}
        self.vectors, self._min_cosine = vectors, min_cosine
        for example in examples:
            self.add(example)

    def add(self, example: Example) -> None:
        """Remember an example; does nothing if its question is already known."""
        text = normalise_question(example.question)
        if text in self._exact:
            return
        self._exact[text] = example.id
        key = f"{len(self._known)}:{example.id}"
        shingles = _shingles(text)
        self._known[key] = _Known(shingles, re.findall(r"\d+", text), example.domain, example.question)
        self._near.insert(key, _minhash(shingles))

    def forget(self, example: Example) -> None:
        """Undo `add`; does nothing if the example is not known or its question was known before it."""
        text = normalise_question(example.question)
        if self._exact.get(text) != example.id:
            return
        del self._exact[text]
        key = next(key for key in reversed(self._known) if key.split(":", 1)[1] == example.id)
        del self._known[key]
        self._near.remove(key)

    def find_duplicate(self, question: str, answer_type: str, domain: str | None = None) -> tuple[str, str] | None:
        """``(reason, id of the known example)`` with reason ``duplicate`` or ``near_duplicate``, or None.

        Args:
            question: the rendered question.
            answer_type: decides whether different numbers make a different question.
            domain: the question's domain; without it, vectors are not compared.
        """
        text = normalise_question(question)
        if text in self._exact:
            return "duplicate", self._exact[text]
        shingles, numbers = _shingles(text), re.findall(r"\d+", text)
        has_numbers = ANSWERS[answer_type].is_numeric
        for key in sorted(self._near.query(_minhash(shingles))):
            known = self._known[key]
            if has_numbers and numbers != known.numbers:
                continue
            if len(shingles & known.shingles) >= NEAR_DUPLICATE_JACCARD * len(shingles | known.shingles):
                return "near_duplicate", key.split(":", 1)[1]
        if self.vectors is None or domain is None:
            return None
        others = {
            key: known.question
            for key, known in self._known.items()
            if known.domain == domain and not (has_numbers and numbers != known.numbers)
        }
        if not others:
            return None
        cosines = self.vectors.find(list(others.values()), domain) @ self.vectors.find([question], domain)[0]
        best = int(cosines.argmax())
        if round(float(cosines[best]), COSINE_DIGITS) < self._min_cosine:
            return None
        return "near_duplicate", list(others)[best].split(":", 1)[1]


def measure_similarity(first: str, second: str) -> float:
    """Jaccard similarity of the word 3-shingles of two texts, 0 (nothing shared) to 1."""
    return measure_jaccard(make_shingles(first), make_shingles(second))


def measure_jaccard(first: set[str], second: set[str]) -> float:
    """Size of the intersection over size of the union, 0 to 1; the sets must not both be empty."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def make_shingles(text: str) -> set[str]:
    """The word 3-shingles of a text after `normalise_question`; the whole text if it is shorter."""
    return _shingles(normalise_question(text))


def _shingles(text: str) -> set[str]:
    return make_ngrams(text, SHINGLE_WORDS) or {text}


def _minhash(shingles: set[str]) -> MinHash:
    minhash = MinHash(num_perm=_PERMUTATIONS)
    minhash.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in sorted(shingles)])
    return minhash
