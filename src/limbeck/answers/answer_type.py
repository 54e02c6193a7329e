"""The interface of an answer type: how to find its answers in a text, read them and compare them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limbeck.answers.boxes import list_boxed, list_last_boxed
from limbeck.answers.clauses import cut_first_clause

Labels = Sequence[str]


_STYLE = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\{([^{}]*)\}")
_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


@dataclass(frozen=True)
class AnswerType:
    """How to read and compare answers of one type, and what other rooms need to know about the type.

    Attributes:
        read: ``(cell, labels) -> canonical answer``; None if the cell contains no answer.
        find_last: ``(text, labels) -> canonical answer``: the last thing in a text that looks like an answer, or None.
        equal: whether two canonical answers are the same.
        read_line: ``(line, labels) -> canonical answer``: the one answer that the line after the marker states, or None if it
            states none, several, or a negated one. By default `read` of the line or of its first clause.
        may_agree: whether two unequal answers may still mean the same, such as two sentences that share a word.
        find_other_result: ``(rationale, answer) -> how the last result of the rationale differs from the answer``; None if it
            doesn't differ or can't be judged.
        measure_f1: token F1 of a prediction against the gold answer, 0 to 1; None if the type has no such measure.
        has_rouge: whether to measure ROUGE-L: for answers of several words, which can be partly right.
        is_multiline: whether an answer may span several lines; then only the whole text counts, never its beginning.
        is_label: whether answers are the task's labels; prompts then list them, and F1 is computed per label.
        is_numeric: whether numbers tell questions apart, so two questions that differ only in numbers are different.
        is_free_text: whether any text is an answer.
    """

    read: Callable[[str, Labels], str | None]
    find_last: Callable[[str, Labels], str | None]
    equal: Callable[[str, str], bool]
    read_line: Callable[[str, Labels], str | None] | None = None
    may_agree: Callable[[str, str], bool] = lambda first, second: False
    find_other_result: Callable[[str, str], str | None] = lambda rationale, answer: None
    measure_f1: Callable[[str | None, str], float] | None = None
    has_rouge: bool = False
    is_multiline: bool = False
    is_label: bool = False
    is_numeric: bool = False
    is_free_text: bool = False

    def extract(self, text: str, labels: Labels, marker: str) -> str | None:
        """Return the answer after the last `marker`; without a marker, the last answer in the text; None if there is none."""
        split = split_at_marker(text, marker)
        if self.is_multiline or self.is_numeric:  # they read boxes themselves, or have none
            return self.find_last(text, labels) if split is None else self.read_clause(self.cut_answer(split[1]), labels)
        line = text if split is None else self.cut_answer(split[1])
        boxes = list_last_boxed(line) if split is None else list_boxed(line)
        if boxes:
            return self.read_clause(_STYLE.sub(r"\1", boxes[0]).strip(" $"), labels) if len(boxes) == 1 else None
        return self.find_last(line, labels) if split is None else self.read_clause(line, labels)

    def cut_answer(self, after: str) -> str:
        """Return the part after a marker that states the answer.

        It is the first line, or all lines if the type is multiline. A code block is taken out of its fence; free text keeps
        all lines of it.
        """
        after = re.sub(r"^[*_]{1,2}(?=\s)", "", after.strip()).strip()  # the end of a bold marker
        fenced = find_fenced(after) if after.startswith("```") else None
        if fenced is not None:
            after = fenced
        is_whole = self.is_multiline or (fenced is not None and self.is_free_text)
        return after if is_whole else _close_marks(after.strip().split("\n", 1)[0].strip())

    def read_clause(self, line: str, labels: Labels) -> str | None:
        """Return the one answer that a line states; None if it states none, several, or a negated one."""
        if self.read_line is not None:
            return self.read_line(line, labels)
        found, clause = self.read(line, labels), cut_first_clause(line)
        return self.read(clause, labels) if found is None and clause is not None else found


def _close_marks(line: str) -> str:
    """Drop bold marks at the end of a line that were opened before it (``**The answer is: Paris**``)."""
    for mark in ("**", "__"):
        if line.count(mark) % 2:
            line = re.sub(re.escape(mark) + r"([.!?]?)$", r"\1", line)
    return line


def find_fenced(text: str) -> str | None:
    """Return the content of the last code block between fences; None without one."""
    blocks = _FENCED.findall(text)
    return str(blocks[-1]).strip("\n") if blocks else None


COLONS = ":：﹕︓∶"
# Scripts that put no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, Chinese, Japanese.
_SPACELESS = (
    "\u0e00-\u0e4f\u0e5a-\u0ecf\u0eda-\u0f1f\u0f34-\u0fff\u1000-\u103f\u1780-\u17df\u3005-\u30ff\u31f0-\u31ff"
    "\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_SHORT_MARKER = 2  # characters of such a script that may be one word


def split_at_marker(text: str, marker: str) -> tuple[str, str] | None:
    """Split a text at the last occurrence of the marker (ignoring case, dropping an optional colon); None without one.

    A space in the marker matches any white space, a colon any colon, and an apostrophe any apostrophe. The marker matches whole
    words only, except next to a script without spaces between words. A single-word marker ("Answer") must start a line or be
    followed by a colon, because the word may occur in any sentence.
    """
    words = marker.split()
    if not words:
        return None
    pattern = _write_pattern(words)
    if len(words) == 1 and words[0][-1].isalnum() and not _is_phrase(words[0]):
        pattern = rf"(?:^(?:[^\w\n]{{0,8}}){pattern}\s*[{COLONS}]?|{pattern}\s*[*_]{{0,3}}\s*[{COLONS}])"
    else:
        pattern += rf"\s*(?:[*_]{{0,3}}\s*[{COLONS}])?"
    matches = list(re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE))
    return (text[: matches[-1].start()], text[matches[-1].end() :]) if matches else None


def _write_pattern(words: Sequence[str]) -> str:
    """The pattern of a marker's words, with boundaries where it begins or ends in a script that has spaces."""
    pattern = r"\s+".join(re.escape(word) for word in words)
    pattern = re.sub(f"[{COLONS}]", f"[{COLONS}]", re.sub("['’]", "['’]", pattern))
    spaced = rf"[^\W{_SPACELESS}]"
    before = rf"(?<!{spaced})" if re.match(spaced, words[0]) else ""
    after = rf"(?!{spaced})" if re.match(spaced, words[-1][-1]) else ""
    return before + pattern + after


def _is_phrase(word: str) -> bool:
    """Whether a word of a script without spaces is long enough to be several words."""
    return len(word) > _SHORT_MARKER and re.fullmatch(f"[{_SPACELESS}]+", word) is not None
