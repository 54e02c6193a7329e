"""Overlap between examples: exact repeats, near-duplicates, and leaks into the test set (see `docs/methods.md`)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from datasketch import MinHash, MinHashLSH

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example
from limbeck.data.vectors import COSINE_DIGITS, Vectors

NGRAM_WORDS = 8
LEAK_SHARE = 0.60
COMMON_SHARE = 0.01
HELD_OUT_TEMPLATE_ROWS = 8  # text shared by fewer held-out rows may just as well be a near-repeat
SHINGLE_WORDS = 3
NEAR_DUPLICATE_JACCARD = 0.80
_PERMUTATIONS = 128
_CANDIDATE_JACCARD = 0.5  # LSH misses pairs near its threshold (64% of those at 0.8); candidates are checked exactly
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
# Soft hyphen, grapheme joiner, zero-width space and non-joiner, marks of direction, invisible operators, the two variation
# selectors that choose between a text and an emoji form. The zero-width joiner makes one emoji of several (see `_JOINER`).
_INVISIBLE = [0xAD, 0x34F, 0x61C, 0x180E, 0x200B, 0x200C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
_FOLDED: dict[int, str | None] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full-width ASCII
    **dict.fromkeys(map(ord, _DASHES), "-"),
    0xFF0D: "-",
    **dict.fromkeys(map(ord, "‘’‚‛′"), "'"),
    **dict.fromkeys(map(ord, "“”„‟«»"), '"'),
    ord("…"): "...",
    **dict.fromkeys([*_INVISIBLE, 0xFE0E, 0xFE0F, 0xFEFF]),
}
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_JOINER = re.compile(f"(?<![{_EMOJI}])\u200d|\u200d(?![{_EMOJI}])")
_STOPS = ".,:;。．、،۔؛।｡､"
_END_OF_WORD = re.compile(rf"(?<=[^\s{_STOPS}])(?:[{_STOPS}]+(?=\s|\Z)|[.,]+(?=[)\]}}\"']+(?:\s|\Z)))")
_LOOSE_MARK = re.compile(r"\s+([?!]+)(?=\s|\Z)")
_THOUSANDS = re.compile(r"(?<![\w.,])[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9]|,[0-9])")
_IN_BRACKETS = re.compile(r"(?<=[(\[{])\s+|\s+(?=[)\]}])|(?<=\w)\s+(?=\()")
_SPACED_OPERATOR = re.compile(r"\s*(!=|[=<>≤≥≠≈≡+*/×÷·^∪∩])\s*")
_SPACED_DASH = re.compile(r"(?<=[\w)\]}]) - (?=[\w(\[{])")
_QUESTION = re.compile(
    r"(?:(?:what|which|who|whom|whose|when|where|why|how) (?:is|are|was|were|do|does|did|can|could|should|would|will|has|have)"
    r"|how (?:many|much))\b[^?]*\?"
)
_LONG_RUN = 4
_NO_BRACKETS = str.maketrans("", "", "()[]{}")
_JOINED_WORDS = re.compile(r"(?<=[^\W\d_])-(?=\w)|(?<=\w)-(?=[^\W\d_])")  # a hyphen between words is no minus


def normalise_question(text: str) -> str:
    """Return the form in which two questions are compared: only what is surely typographic is folded.

    Folded are case, composed and combining accents, full-width ASCII, curly quotes, kinds of dashes, white space (also around
    operators and inside brackets), invisible characters, emoji variation selectors, the commas of thousands, and commas, full
    stops, colons and semicolons at the end of a word. Everything else stays: marks of any script, symbols, operators, signs,
    brackets, ``!``, emoji, and superscripts, since x² is not x2. ``?`` stays too, unless the words leave no doubt that a
    question is asked ("what is …", "how many …"): then many people leave it out.

    The result is stable: normalising it again changes nothing.
    """
    folded = _fold(text)
    while (again := _fold(folded)) != folded:  # folding one thing may uncover another
        folded = again
    return folded


def _fold(text: str) -> str:
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).translate(_FOLDED).casefold())
        text = _JOINER.sub("", text)
    text = " ".join(text.split())
    text = _END_OF_WORD.sub("", _LOOSE_MARK.sub(r"\1", text))
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _SPACED_DASH.sub("-", _SPACED_OPERATOR.sub(r"\1", _IN_BRACKETS.sub("", text)))
    return text[:-1] if _QUESTION.fullmatch(text) else text


def list_words(text: str) -> list[str]:
    """List the words and numbers of a normalised text, without punctuation, quotes and brackets.

    A symbol, such as an operator, a sign or an emoji, is part of the word after it (or before it, if none follows), so that
    it makes another word but not one more: texts with symbols have no more n-grams than texts without. A long run of
    symbols and brackets is kept whole, since it may be all there is to a question.
    """
    words: list[str] = []
    symbols = ""
    for word, symbol in _piece_pattern(text.isascii()).findall(_JOINED_WORDS.sub(" ", text)):
        if word:
            words.append(_join_symbols(symbols) + word)
            symbols = ""
        else:
            symbols += symbol
    last = _join_symbols(symbols)
    if last:
        words[-1:] = ["".join([*words[-1:], last])]
    return words


def _join_symbols(symbols: str) -> str:
    return symbols if len(symbols) >= _LONG_RUN else symbols.translate(_NO_BRACKETS)


@cache
def _find_ranges(category: str) -> str:
    """The characters of a Unicode category (``M`` marks, ``S`` symbols), as ranges for a character class."""
    codes = [code for code in range(0x80, 0x20000) if unicodedata.category(chr(code)).startswith(category)]
    known = set(codes)
    starts = [code for code in codes if code - 1 not in known]
    ends = [code for code in codes if code + 1 not in known]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


@cache
def _piece_pattern(is_ascii: bool) -> re.Pattern[str]:
    """Words, or symbols and brackets, as two groups; a simpler pattern finds the same in ASCII text.

    A word has letters and digits of any script with their combining marks, which ``\\w`` leaves out. ``!`` is a symbol only
    in ``!=`` and after a number.
    """
    word, symbols = "[A-Za-z0-9]+", ""
    if not is_ascii:
        word, symbols = f"(?:[^\\W_]|[{_find_ranges('M')}])+", _find_ranges("S")
    return re.compile(rf"({word})|([-+*/=<>^%#&@$|~()\[\]{{}}{symbols}]|!(?==)|(?<=[0-9])!)")


def make_ngrams(text: str, words: int = NGRAM_WORDS) -> set[str]:
    """The word n-grams of a normalised text (see `list_words`); empty if it has fewer than `words` words."""
    parts = list_words(text)
    return {" ".join(parts[i : i + words]) for i in range(len(parts) - words + 1)}


class LeakGuard:
    """Finds rows that leak into the test (or dev) set.

    A row leaks if it equals a held-out row after `normalise_question`, or if at least 60% of its 8-grams of words
    (`list_words`) are in *one* held-out row. 8-grams in more than 1% of the training rows are template text and don't count;
    the same goes for those in more than 1% of the held-out rows, where the template of a rare domain is not rare. A row
    without other 8-grams leaks only by equality. Numbers are part of the text, so another short problem of the same form is
    not a leak.
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
