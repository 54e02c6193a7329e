"""Specification of `limbeck.data.encodings`: the letters of a file are right, or the file is refused."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.data.readers import read_rows
from limbeck.data.rows import Notes
from limbeck.errors import DataError

ENGLISH = "domain,question,answer\ngeo,What is it?,yes\n"
FRENCH = 'domain,question,answer\ngeo,"Où est la bibliothèque de l’été, à 5 € près ?",Orléans\nsum,1+1?,2\n'
RUSSIAN = (
    "domain,question,answer\n" + "geo,Сколько будет два плюс два и какой город является столицей России сегодня?,Москва\n" * 3
)
JAPANESE = "domain,question,answer\n" + "geo,日本の首都はどこですか。そしてその人口は何人ですか。,東京\n" * 3


def read(path: Path) -> tuple[list[dict[str, object]], list[str]]:
    notes = Notes()
    return [row for _, row in read_rows(path, notes=notes)], notes.list_all()


def write(tmp_path: Path, content: bytes, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def expect(text: str) -> list[dict[str, str]]:
    header, *lines = text.strip().split("\n")
    return [dict(zip(header.split(","), line.replace(", à", "\0").split(","), strict=True)) for line in lines]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("has_mark", [True, False])
def test_wide_encodings(tmp_path: Path, encoding: str, *, has_mark: bool) -> None:
    """UTF-16 and UTF-32 are read by their byte-order mark, UTF-16 also by its null bytes; a note says so."""
    if has_mark != (encoding in ("utf-16", "utf-32")):
        return
    rows, notes = read(write(tmp_path, "domain\tquestion\ngcd\t12 and 18, é\n".encode(encoding)))
    assert rows == [{"domain": "gcd", "question": "12 and 18, é"}]
    assert notes[0].startswith("rows.csv: read as UTF-")


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE], ids=["little", "big"])
def test_marked_utf16_in_json_lines(tmp_path: Path, mark: bytes) -> None:
    """JSON Lines in UTF-16 are read too, and lines keep their numbers."""
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    path = write(tmp_path, mark + '{"a": "é"}\n\n{"a": "ü"}\n'.encode(encoding), "rows.jsonl")
    assert list(read_rows(path)) == [(f"{path}:1", {"a": "é"}), (f"{path}:3", {"a": "ü"})]


def test_western_files_of_windows(tmp_path: Path) -> None:
    """A Western European file of Windows is read as cp1252, and a note says what was detected."""
    rows, notes = read(write(tmp_path, FRENCH.encode("cp1252")))
    assert [row["question"] for row in rows] == ["Où est la bibliothèque de l’été, à 5 € près ?", "1+1?"]
    assert notes == ["rows.csv: not UTF-8; read as cp1252, as its bytes suggest. If letters are wrong, save it as UTF-8"]


@pytest.mark.parametrize(("text", "encoding"), [(RUSSIAN, "cp1251"), (JAPANESE, "cp932")])
def test_other_alphabets(tmp_path: Path, text: str, encoding: str) -> None:
    """A file in another alphabet is read right, or refused with what it could be."""
    path = write(tmp_path, text.encode(encoding))
    try:
        rows, notes = read(path)
    except DataError as error:
        assert "save the file as UTF-8" in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert [list(row.values()) for row in rows] == [line.split(",") for line in text.strip().split("\n")[1:]]
        assert "read as" in notes[0]


SENTENCES = {
    "cp1250": ["Zażółć gęślą jaźń", "Ile kosztuje książka?", "Proszę", "Dvořák", "Mennyi az idő?", "příliš žlutý kůň"],
    "cp1251": ["Сколько будет два плюс два?", "да", "Москва"],
    "cp1252": ["Größe der Fläche für Jürgen?", "¿Cuántos niños hay?", "São Paulo é a maior cidade.", "Où ?", "It costs £5."],
    "cp1253": ["Πόσο κάνει δύο και δύο;", "ναι"],
    "cp1254": ["Kaç elma var? Şimdi söyle"],
    "cp932": ["日本の首都はどこですか。", "東京"],
    "gb18030": ["中国的首都是哪里?", "北京"],
    "koi8_r": ["Сколько будет два плюс два?", "Москва"],
    "mac_roman": ["Où est la bibliothèque ?", "Größe der Fläche"],
}


@given(
    st.sampled_from(sorted(SENTENCES)).flatmap(
        lambda name: st.tuples(st.just(name), st.lists(st.sampled_from(SENTENCES[name]), min_size=1, max_size=6))
    )
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_guess_never_changes_a_letter(tmp_path: Path, drawn: tuple[str, list[str]]) -> None:
    """Whatever the encoding, the text that is read is the text that was written, or the file is refused."""
    encoding, sentences = drawn
    text = "question\n" + "".join(f'"{sentence}"\n' for sentence in sentences)
    try:
        rows, _ = read(write(tmp_path, text.encode(encoding)))
    except DataError as error:
        assert "not UTF-8 at byte" in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert [row["question"] for row in rows] == sentences


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Tři řeky", "cp1250"),
        ("Kde je člověk?", "cp1250"),
        ("język", "cp1250"),
        ("Kur tėvas?", "cp1257"),
        ("Cik maksā viena maize\n" * 5, "cp1257"),
        ("Año", "mac_roman"),
        ("Cuantos libros hay en la casa del Año", "mac_roman"),
    ],
)
def test_too_few_letters_for_a_guess(tmp_path: Path, text: str, encoding: str) -> None:
    """A text that makes sense in several encodings is refused with their names, and never read with wrong letters."""
    path = write(tmp_path, f"question\n{text}\n".encode(encoding))
    with pytest.raises(DataError, match=rf"it could be .*{encoding}.*; save the file as UTF-8"):
        read(path)


@pytest.mark.parametrize(
    "text", ["Größe für Jürgen", "¿Cuántos niños hay?", "It costs £5 – or 7 €.", "I don’t know – it’s Bob’s", "Où est l’été ?"]
)
def test_unmistakable_western_texts(tmp_path: Path, text: str) -> None:
    """A text that is the same in the rivals of cp1252, or makes no sense in them, is read even if it is short."""
    rows, _ = read(write(tmp_path, f"question\n{text}\n".encode("cp1252")))
    assert [row["question"] for row in rows] == [text]


def test_damaged_utf8_is_no_other_encoding(tmp_path: Path) -> None:
    """A UTF-8 file with a wrong byte is refused with line and byte; it is never read as another encoding."""
    path = write(tmp_path, (ENGLISH + "geo,Où est l’été ?,yes\n").encode() + b"geo,caf\xe9,no\n")
    with pytest.raises(DataError, match=r"rows\.csv:4: not UTF-8 at byte 7 of the line; save the file as UTF-8"):
        read(path)


@pytest.mark.parametrize("line", [1, 2, 40_000])
def test_the_place_of_a_wrong_byte(tmp_path: Path, line: int) -> None:
    """The error names the line and the byte of the first wrong byte, however far into the file it is."""
    content = "é" * 25 + "\n"
    path = write(tmp_path, (content * (line - 1) + "abcé").encode() + b"\xff" + (content * 3).encode())
    with pytest.raises(DataError, match=rf"rows\.csv:{line}: not UTF-8 at byte 5 of the line"):
        read(path)
