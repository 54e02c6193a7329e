"""Labels of a classification task."""

from __future__ import annotations

import re
from functools import lru_cache

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.clauses import cut_first_clause, split_sentences, strip_markdown
from limbeck.answers.identity import Names, make_key

_MAX_CHARS = 4_000  # of a text, searched from its end
# Scripts that put no space between words; a label in them may stand anywhere in a sentence.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_DENIES = re.compile(
    r"\b(?:not|no|none|never|neither|nor|non|cannot|without|instead|except|unlike|hardly|barely|rather|than|versus|vs|false|wrong\w*|"
    r"opposite|far|anything|nothing|unlikely|fail\w*|lack\w*|absen\w*|avoid\w*|doubt\w*|least|kidding|"
    r"ne|pas|nicht|kein\w*|weder|niet|geen|não|nem|nunca|ni|sin|nie|не|нет|ни|değil|нем)\b"
    r"|n['’]t\b|[不没沒非無无未莫]|ない|ません|ぬ|않|아니|안 |ไม่|नहीं|न |ليس|ليست|غير|לא",
    re.IGNORECASE,
)
_SIGN_BEFORE, _SIGN_AFTER = frozenset("-−–+<>≤≥≠~^±#%!❌✗✘/"), frozenset("+#%*^/")  # make another label, or deny it
_ITEM = re.compile(r"^\s*\(?(?:\d{1,2}|[A-Z])[.)]\s")  # the number or letter of a list
_BECAUSE = re.compile(r"\W*(?:because|since|as|not|and not|so|given)\b", re.IGNORECASE)
# Words that may stand around a label without changing it; others may ("anything but positive").
_PLAIN = frozenset(
    (
        "the a an is it its this that these i i'd i'm think believe say would be to as of was are in on for my our your "
        "final correct right best most answer label labels class category sentiment topic tone text sentence statement "
        "review story question intent domain relation news article example overall clearly definitely certainly probably "
        "likely mostly very quite really strongly highly so therefore thus hence here option number about with has "
        "expresses describes belongs under seems appears and star stars rating score"
    ).split()
)
_INTRODUCED = re.compile(
    r"(?:\b(?:is|as|it['’]s|answer|label|class|category|sentiment|topic)|[:=→])[\s\"'“‘(\[<*]*"
    r"(?:(?:the|a|an|most|very|clearly|definitely|mostly|quite|likely|probably)\s+)*[\"'“‘(\[<*]*$",
    re.IGNORECASE,
)


class _LabelSet:
    """The labels of a task, ready to be read and found in texts."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.names = Names(labels)
        longest_first = sorted(labels, key=len, reverse=True)
        flags = re.IGNORECASE if self.names.ignores_case else re.NOFLAG
        self._mention = re.compile("|".join(map(self._make_pattern, longest_first)), flags)

    def _make_pattern(self, label: str) -> str:
        words = re.split(r"[\s_-]+", label) if self.names.ignores_separators else [label]
        body = r"[\s_-]+".join(map(re.escape, filter(None, words))) or re.escape(label)
        before = "" if _UNSPACED.match(label[0]) else r"(?<![\w.,-])" if label[0].isdigit() else r"(?<![\w-])"
        after = "" if _UNSPACED.match(label[-1]) else r"(?!\w|[+#*-]|[.,]\d)" if label[-1].isalnum() else r"(?!\w|-)"
        return f"{before}{body}{after}"

    def find_mentioned(self, text: str) -> set[str]:
        """Return the labels that a text mentions as whole words; of nested ones the longest."""
        return {label for match in self._mention.finditer(text) if (label := self.names.find(match[0])) is not None}

    def is_stated(self, text: str) -> bool:
        """Whether a text that mentions one label states it: no word negates or compares, and none may change it.

        Words that may change it are allowed in front of "is", "as" or a colon and the label, if the label ends the text.
        """
        text = _ITEM.sub("", text)
        mentions = list(self._mention.finditer(text))
        rest = self._mention.sub(" ", text)
        if _DENIES.search(rest) or re.search(r"\d", rest) or any(_DENIES.fullmatch(each[0]) for each in mentions):
            return False
        for each in mentions:
            before, after = text[: each.start()].rstrip()[-1:], text[each.end() :].lstrip()[:1]
            if (before and before in _SIGN_BEFORE) or (after and after in _SIGN_AFTER):
                return False
        if all(word.lower() in _PLAIN for word in re.findall(r"[A-Za-z]+(?:['’][A-Za-z]+)?", rest)):
            return True
        last = mentions[-1]
        return not re.search(r"\w", text[last.end() :]) and _INTRODUCED.search(text[: last.start()]) is not None


_make_label_set = lru_cache(maxsize=64)(_LabelSet)


def _read_label(cell: str, labels: Labels) -> str | None:
    return _make_label_set(tuple(labels)).names.find(cell) if labels else make_key(cell) or None


def _read_stated_label(line: str, labels: Labels) -> str | None:
    """Return the label that the whole line is, or that its first clause is, or the only one that it mentions."""
    line = line[:_MAX_CHARS]
    found = _read_label(line, labels) or _read_label(strip_markdown(line), labels)
    if found is not None or not labels:
        return found
    line = strip_markdown(line)
    clause = cut_first_clause(line)
    found = None if clause is None else _read_label(clause, labels)
    if clause is None or found is None:
        return _find_only(line, labels)
    rest = line[len(clause) :]
    others = _make_label_set(tuple(labels)).find_mentioned(rest) - {found}
    is_remark = rest.lstrip().startswith("(") and _read_label(rest, labels) is None
    return found if not others or is_remark or _BECAUSE.match(rest) else None


def _find_last_label(text: str, labels: Labels) -> str | None:
    """Return the label that the last sentence with a label mentions, if it mentions one only and doesn't deny it."""
    if not labels:
        return None
    known = _make_label_set(tuple(labels))
    naming = [part for part in split_sentences(strip_markdown(text[-_MAX_CHARS:])) if known.find_mentioned(part)]
    return _read_stated_label(naming[-1], labels) if naming else None


def _find_only(text: str, labels: Labels) -> str | None:
    known = _make_label_set(tuple(labels))
    mentioned = known.find_mentioned(text)
    return mentioned.pop() if len(mentioned) == 1 and known.is_stated(text) else None


LABEL = AnswerType(
    _read_label,
    _find_last_label,
    lambda first, second: make_key(first) == make_key(second),
    read_line=_read_stated_label,
    is_label=True,
)
