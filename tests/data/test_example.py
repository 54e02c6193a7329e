"""Specification of `limbeck.data.example`: ids, and the JSON form of examples."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example, Provenance, Rejected, count_reasons, make_example_id
from limbeck.hashing import canonical_json, hash_text

texts = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
examples = st.builds(
    Example,
    id=texts,
    domain=texts,
    fields=st.dictionaries(texts, texts, max_size=3),
    question=texts,
    answer=texts,
    answer_type=st.sampled_from(["number", "choice", "label", "text", "math"]),
    rationale=st.none() | texts,
    teacher_answer=st.none() | texts,
    provenance=st.builds(
        Provenance,
        kind=st.sampled_from(["real", "synthesized"]),
        request=st.none() | texts,
        seeds=st.lists(texts, max_size=3).map(tuple),
        copy=st.integers(0, 5),
    ),
    stage=st.none() | st.integers(0, 9),
    meta=st.dictionaries(texts, json_values, max_size=3),
)


@given(examples)
@settings(max_examples=100, deadline=None)
def test_json_round_trip(example: Example) -> None:
    """An example written as JSON text and read back is the same example."""
    assert Example.from_json(json.loads(json.dumps(example.to_json()))) == example


def test_json_form() -> None:
    """The JSON form of an example has its attributes by name, in order."""
    row = make_example("q").to_json()
    assert list(row) == [
        "id",
        "domain",
        "fields",
        "question",
        "answer",
        "answer_type",
        "rationale",
        "teacher_answer",
        "provenance",
        "stage",
        "meta",
    ]
    assert row["fields"] == {"question": "q"}
    assert row["provenance"] == {"kind": "real", "request": None, "seeds": (), "copy": 0}


def test_id_is_a_hash_of_domain_and_fields() -> None:
    """The id is the first 16 hex digits of the SHA-256 of the canonical JSON of domain and fields."""
    # printf '{"domain":"a","fields":{"question":"q"}}' | sha256sum
    assert make_example_id("a", {"question": "q"}) == "f51fee0bd5dbc6e5"


def test_id_depends_on_nothing_else() -> None:
    """The id depends on the domain and on field names and texts, but not on the order of the fields."""
    known = make_example_id("d", {"a": "1", "b": "2"})
    assert make_example_id("d", {"b": "2", "a": "1"}) == known
    others = {
        make_example_id("e", {"a": "1", "b": "2"}),
        make_example_id("d", {"a": "2", "b": "1"}),
        make_example_id("d", {"a": "1", "c": "2"}),
        make_example_id("d", {"a": "12", "b": ""}),
    }
    assert len(others | {known}) == 5


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_hash(text: str, digest: str) -> None:
    """The hash of a text is SHA-256, checked against published test vectors."""
    assert hash_text(text) == digest


def test_hash_of_a_lone_surrogate() -> None:
    """A text that is not valid Unicode has an id too."""
    assert len(make_example_id("a", {"question": "\ud800"})) == 16


@pytest.mark.parametrize(
    ("value", "text"),
    [({"b": 1, "a": [1, None]}, '{"a":[1,null],"b":1}'), ("é", '"é"'), ({}, "{}")],
)
def test_canonical_json(value: object, text: str) -> None:
    """Canonical JSON has sorted keys, no spaces, and unescaped letters."""
    assert canonical_json(value) == text


@given(st.dictionaries(texts, json_values, max_size=4))
@settings(max_examples=50, deadline=None)
def test_canonical_json_ignores_order(value: dict[str, Any]) -> None:
    """Canonical JSON is the same for any order of the keys, and reads back as the same value."""
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)
    assert json.loads(canonical_json(value)) == value


def test_changed_example() -> None:
    """Changing an attribute makes a new example with the same id and leaves the old one unchanged."""
    example = make_example("q")
    kept = example.but(stage=2, rationale="because")
    assert (kept.stage, kept.rationale, kept.id) == (2, "because", example.id)
    assert (example.stage, example.rationale) == (None, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.stage = 3  # type: ignore[misc]


def test_rejected_json_form() -> None:
    """A rejection is written with its stage, domain, reason, example, request and detail."""
    rejected = Rejected(1, "d", "answer_mismatch", "id7", None, "5 is not 6")
    assert rejected.to_json() == {
        "stage": 1,
        "domain": "d",
        "reason": "answer_mismatch",
        "example_id": "id7",
        "request": None,
        "detail": "5 is not 6",
    }


def test_reasons_are_counted() -> None:
    """Reasons are counted with the most frequent first and ties by name."""
    reasons = ["b", "a", "c", "c", "b", "c", "a"]
    counts = count_reasons([Rejected(0, "d", reason) for reason in reasons])
    assert list(counts.items()) == [("c", 3), ("a", 2), ("b", 2)]
    assert count_reasons([]) == {}
