"""Finds the encoding of a text file: UTF-8, what a byte-order mark says, or what the bytes show beyond doubt.

A wrong guess changes letters without a word, so a guess that has a rival is an error that names both. `charset-normalizer`
ranks the encodings; this file decides whether its first choice is safe.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from limbeck.data.rows import Notes
from limbeck.data.unpacking import open_unpacked
from limbeck.errors import DataError

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CANDIDATES = (
    "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 gb18030 big5 cp932 euc_jp cp949 koi8_r mac_roman"
).split()
_SAMPLE_BYTES = 2**20
_BLOCK_BYTES = 2**20
_MIN_HIGH_BYTES = 8
"""A guess other than cp1252 needs as many bytes above 127 as this."""
_MORE_CHAOS, _LESS_COHERENCE = 0.05, 0.1
"""An encoding is a rival of the best one if it is worse by at most this much in `charset-normalizer`'s two measures."""

_WESTERN = frozenset("àâäáãåæçéèêëíìîïñóòôöõøœúùûüßÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜ‘’“”–—…•€£§°«»¿¡½¼¾²³·×©®™\xa0")
# What texts in other alphabets look like when they are read as cp1252: "Proszê", "³adny", "idõ", "cãtre", "íáé".
_NOT_WESTERN = re.compile(
    r"[êæñû](?!\w)|ã(?![oe])|õ(?!e)|œ(?![udist])|[£²³](?=[^\W\d_])|¿[^?]*\Z|[^\x00-\x7f\W]{3}"
    r"|[^\W\d_][¿¡“”«½¼¾·×](?=[^\W\d_])"
)

_RIVALS_OF_WESTERN = ("cp1250", "cp1254", "cp1257")
_MIN_WORDS = 8
"""Western letters that a rival reads otherwise need as many different words, if none of them is unmistakable."""
# What makes no sense in a rival: "ŕ" and "č" as words, "nińo", "Săo", "Ł5", "cm˛", "żCuántos", "pĺ", "estį".
_SURE = re.compile(
    r"\b(?:à|è|où|là|più|très|après|même|être|på|å|så|også|från|får|está|más|día|días|cuánt[oa]s?|dónde)\b"
    r"|ñ(?=[aeiouáéíóú])|ã(?=[oe])|£(?=\s?\d)|(?<=m)[²³]|(?-i:¿(?=[A-ZÁÉÍÓÚÑ]))|¡(?=\w)",
    re.IGNORECASE,
)
_INNER_MARK = re.compile(r"(?<=[^\W\d_])[‘’“”–—…•](?=[^\W\d_])")
_CONTRACTION = re.compile(r"n’t\b|(?<!\bpa)’(?:s|re|ve|ll|m)\b", re.IGNORECASE)
_CAPITAL_INSIDE = re.compile(r"[a-zß-ÿ][À-ÖØ-ÞŒŸ]|[^\x00-\x7f\w¿¡«»]")


@contextmanager
def open_text(path: Path, notes: Notes, newline: str = "") -> Iterator[TextIO]:
    """Open a text file that may be compressed and in another encoding than UTF-8; `newline` as in `open`.

    Raises:
        DataError: see `find_encoding` and `open_unpacked`.
    """
    name = find_encoding(path, notes)
    with open_unpacked(path) as file:
        text = io.TextIOWrapper(file, name, newline=newline)
        try:
            yield text
        except UnicodeError as error:
            raise DataError(f"{path}: not {name.upper()} throughout: {error.args[-1]}; save the file as UTF-8") from error
        finally:
            text.detach()


def find_encoding(path: Path, notes: Notes) -> str:
    """The codec of a text file; a guess, or an encoding other than UTF-8, is said in a note.

    Raises:
        DataError: the file can't be read, or its encoding can't be told.
    """
    with open_unpacked(path) as file:
        begin = file.read(4)
    for mark, name in _MARKS:
        if begin.startswith(mark):
            if name != "utf-8-sig":
                notes.say(f"{path.name}: read as {name.upper()}, as its byte-order mark says")
            return name
    wide = "utf-16-le" if begin[1::2] == b"\0\0" else "utf-16-be" if begin[::2] == b"\0\0" else ""
    if wide:
        notes.say(f"{path.name}: read as {wide.upper()}, as its null bytes suggest")
        return wide
    with open_unpacked(path) as file:
        fault = _find_fault(file)
    if fault is None:
        return "utf-8"
    with open_unpacked(path) as file:
        sample, is_damaged = _take_sample(file)
    name, rivals = ("", []) if is_damaged else _guess(sample)
    if not name:
        maybe = f" (it could be {' or '.join(rivals[:4])})" if rivals else ""
        raise DataError(f"{path}:{fault[0]}: not UTF-8 at byte {fault[1]} of the line{maybe}; save the file as UTF-8")
    notes.say(f"{path.name}: not UTF-8; read as {name}, as its bytes suggest. If letters are wrong, save it as UTF-8")
    return name


def _find_fault(file: BinaryIO) -> tuple[int, int] | None:
    """``(line from 1, byte of the line from 0)`` of the first byte that is not UTF-8, or None."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, column, rest = 1, 0, b""
    while True:
        block = file.read(_BLOCK_BYTES)
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = (rest + block)[: error.start]
            newline = before.rfind(b"\n")
            return line + before.count(b"\n"), len(before) - newline - 1 + (column if newline < 0 else 0)
        if not block:
            return None
        data, rest = rest + block, decoder.getstate()[0]
        data = data[: len(data) - len(rest)]
        line += data.count(b"\n")
        newline = data.rfind(b"\n")
        column = len(data) - newline - 1 + (column if newline < 0 else 0)


def _take_sample(file: BinaryIO) -> tuple[bytes, bool]:
    """Lines with bytes above 127, and whether the file is damaged UTF-8: most of these bytes form valid characters."""
    lines: list[bytes] = []
    size = valid = invalid = 0
    while size < _SAMPLE_BYTES and (line := file.readline(_SAMPLE_BYTES)):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            text = line.decode("utf-8", "surrogateescape")
            wrong = sum("\udc80" <= char <= "\udcff" for char in text)
            invalid += wrong
            valid += sum(char > "\x7f" for char in text) - wrong
    return b"".join(lines), valid >= invalid


def _guess(sample: bytes) -> tuple[str, list[str]]:
    """``(codec, rivals)``; no codec if several encodings are likely, or none is."""
    from charset_normalizer import from_bytes

    found = list(from_bytes(sample, cp_isolation=list(_CANDIDATES)))
    if not found:
        return "", []
    best = found[0]
    likely = [
        one for one in found if one.chaos <= best.chaos + _MORE_CHAOS and one.coherence >= best.coherence - _LESS_COHERENCE
    ]
    western = _read_western(sample)
    names = [one.encoding for one in likely]
    if western is not None:
        same = [one.coherence for one in likely if str(one) == western]
        rivals = _list_rivals(sample, western)
        if same and not rivals:
            return "cp1252", []
        is_best = bool(same) and all(one.coherence <= max(same) for one in likely)
        if is_best and "mac_roman" not in rivals and _count_words(sample, western, rivals) >= _MIN_WORDS:
            return "cp1252", []
        return "", list(dict.fromkeys(["cp1252", *rivals] if same else names))
    texts = {str(one) for one in likely}
    if len(texts) == 1 and sum(byte > 127 for byte in sample) >= _MIN_HIGH_BYTES:
        return best.encoding, []
    return "", names


def _list_rivals(sample: bytes, western: str) -> list[str]:
    """The encodings in which the sample is another text that could be meant as well; `western` is the text as cp1252."""
    rivals = []
    if not _SURE.search(western):
        rivals = [name for name in _RIVALS_OF_WESTERN if _decode(sample, name) not in (None, western)]
    # In Mac Roman, the bytes of quotes and dashes are letters: "A–o" is "Año", unlike "don’t".
    if _INNER_MARK.search(_CONTRACTION.sub("", western)) and not _CONTRACTION.search(western):
        mac = _decode(sample, "mac_roman")
        if mac is not None and not _CAPITAL_INSIDE.search(mac):
            rivals.append("mac_roman")
    return rivals


def _count_words(sample: bytes, western: str, rivals: list[str]) -> int:
    """How many different words of `western` a rival reads otherwise; each of these encodings has one byte for a character."""
    texts = [text for name in rivals if (text := _decode(sample, name)) is not None]
    words = set()
    for match in re.finditer(r"\w+", western):
        if any(text[match.start() : match.end()] != match[0] for text in texts):
            words.add(match[0].casefold())
    return len(words)


def _decode(sample: bytes, name: str) -> str | None:
    try:
        return sample.decode(name)
    except UnicodeDecodeError:
        return None


def _read_western(sample: bytes) -> str | None:
    """The sample as cp1252 if it then looks like a Western European text, as most files of this kind do."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return None
    strange = any(char > "\x7f" and char not in _WESTERN for char in text)
    nordic, other = set(text) & set("øåæØÅÆ"), set(text) & set("èùìòêñãûïõáíú")
    return None if strange or (nordic and other) or _NOT_WESTERN.search(text) else text
