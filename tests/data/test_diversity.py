"""Specification of `limbeck.data.diversity`: measures by hand, and an alarm that tells paraphrases from varied examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data import diversity
from limbeck.data.diversity import (
    choose_texts,
    describe_paraphrased,
    describe_summary,
    estimate_real_similarity,
    measure_distinct_2,
    measure_domain,
    measure_domains,
    summarize,
)
from limbeck.data.example import Example
from limbeck.data.vectors import Vectors

THEMES = [
    "rivers of the north",
    "an old clock tower",
    "how bakers weigh flour",
    "the price of copper",
    "a lost grey cat",
    "moons beyond Saturn",
    "why bridges sway",
    "songs for a harvest",
    "seven kinds of moss",
    "tax on salt",
]
VARIED = [
    f"Describe {one} to somebody who heard of {other}." for one, other in zip(THEMES, THEMES[3:] + THEMES[:3], strict=True)
]
VERBS = ["takes", "brings", "carries", "drives", "hauls", "moves", "sends", "walks"]
PARAPHRASES = [
    f"A farmer {verb} three baskets of red apples to the market and sells two of them before noon." for verb in VERBS
]


def make_examples(texts: Sequence[str], domain: str = "d") -> list[Example]:
    return [make_example(text, domain=domain) for text in texts]


def test_distinct_by_hand() -> None:
    """Of "a b a b" and "A, b c!" 3 of 5 word pairs are distinct; pairs do not cross texts, and single words have no pairs."""
    assert measure_distinct_2(["a b a b", "A, b c!"]) == 3 / 5  # ab, ba, bc of ab, ba, ab, ab, bc
    assert measure_distinct_2(["a", "b"]) is None
    assert measure_distinct_2([]) is None


@given(st.lists(st.text(alphabet="abc ", max_size=20), max_size=6))
def test_distinct_is_a_share_that_repeats_lower(texts: list[str]) -> None:
    """Distinct-2 is above 0 and at most 1, and repeating all texts halves it."""
    share = measure_distinct_2(texts)
    assert share is None or 0 < share <= 1
    assert share is None or measure_distinct_2(texts * 2) == pytest.approx(share / 2)


def test_a_choice_of_texts() -> None:
    """At most the given number of texts is chosen, in their order, and the choice does not depend on that order."""
    texts = [f"text {number}" for number in range(20)]
    chosen = choose_texts(texts, 5)
    assert len(chosen) == 5
    assert chosen == [text for text in texts if text in chosen]
    assert sorted(choose_texts(texts[::-1], 5)) == sorted(chosen)
    assert choose_texts(texts, 30) == texts
    assert choose_texts(["same", "same"], 1) == ["same"]


def test_a_domain_by_hand() -> None:
    """Two real questions and three inventions: the first invention is a real one but for a word, the last repeats the second.

    Shingles: r1 = {abc, bcd}, r2 = {xyz}, s1 = {abc, bce}, s2 = {mno, nop, opq, pqr}, s3 = s2. Similarities: r1-s1 1/3,
    s2-s3 1, all others 0.
    """
    found = measure_domain(["a b c d", "x y z"], ["a b c e", "m n o p q r", "m n o p q r!"])
    assert found["real"] == {
        "count": 2,
        "measured": 2,
        "distinct_2": 1.0,
        "nearest_similarity": 0.0,
        "near_duplicates_of_real": 0.0,
    }
    invented = found["synthesized"]
    assert (invented["count"], invented["measured"]) == (3, 3)
    assert invented["nearest_similarity"] == round((1 / 3 + 0 + 1) / 3, 5), "real ones, and earlier inventions"
    assert invented["near_duplicates_of_real"] == 0.0


def test_templates_with_other_numbers_count() -> None:
    """A long question with one number changed is a near-duplicate here, although the guard sees a different problem."""
    story = [f"word{number}" for number in range(40)]
    real, other = " ".join([*story, "17"]), " ".join([*story, "18"])  # 38 of 40 shingles
    found = measure_domain([real, "Another one."], [other])
    assert found["synthesized"]["near_duplicates_of_real"] == 1.0


def test_distinct_is_compared_at_equal_numbers() -> None:
    """With one real question and many inventions, only one invention is measured, because distinct-2 falls with the number."""
    inventions = [f"Calculate {number} plus one and two." for number in range(30)]
    found = measure_domain(["Calculate ten plus one and two."], inventions)
    assert found["synthesized"]["distinct_2"] == found["real"]["distinct_2"] == 1.0
    assert measure_distinct_2(inventions) < 0.5  # type: ignore[operator]


def test_domains_without_either_kind() -> None:
    """A domain without real questions or without inventions has None for values that can't be measured."""
    domains = measure_domains(make_examples(["a b c"], "real"), make_examples(["d e f", "g h i"], "new"))
    assert list(domains) == ["new", "real"]
    assert domains["new"]["real"]["nearest_similarity"] is None
    assert domains["new"]["synthesized"]["near_duplicates_of_real"] is None
    assert domains["new"]["synthesized"]["nearest_similarity"] == 0.0, "only one invention has an earlier one"
    assert domains["real"]["synthesized"] == {
        "count": 0,
        "measured": 0,
        "distinct_2": None,
        "nearest_similarity": None,
        "near_duplicates_of_real": None,
    }


def test_large_domains_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most `MOST_TEXTS` questions of each kind are measured, but all are counted."""
    monkeypatch.setattr(diversity, "MOST_TEXTS", 3)
    found = measure_domain(VARIED, PARAPHRASES)
    assert (found["real"]["count"], found["real"]["measured"]) == (10, 3)
    assert (found["synthesized"]["count"], found["synthesized"]["measured"]) == (8, 3)


@pytest.mark.parametrize("real_count", [0, 1, 3, 10])
def test_the_alarm_knows_paraphrases_from_varied_examples(real_count: int) -> None:
    """Eight paraphrases of one question raise the alarm and ten varied ones do not, for any number of real questions."""
    other = make_examples(VARIED, "head")
    for texts, is_paraphrased in ((PARAPHRASES, True), (VARIED[::-1], False)):
        real = make_examples([f"{text} Say it in verse, {number}." for number, text in enumerate(THEMES)][:real_count])
        domains = measure_domains([*real, *other], make_examples(texts))
        assert domains["d"]["is_paraphrased"] == is_paraphrased, domains["d"]
        assert not domains["head"]["is_paraphrased"]


def test_three_paraphrases_are_no_alarm() -> None:
    """Fewer than four inventions never raise the alarm."""
    assert not measure_domains([], make_examples(PARAPHRASES[:3]))["d"]["is_paraphrased"]
    assert measure_domains([], make_examples(PARAPHRASES[:4]))["d"]["is_paraphrased"]


def test_a_form_that_real_questions_share_is_no_alarm() -> None:
    """If the real questions share one form, inventions of the same form raise no alarm."""
    form = "A farmer brings {} baskets of red apples to the market; how many are in all of them?"
    real, inventions = ([form.format(number) for number in numbers] for numbers in (range(5), range(20, 30)))
    domains = measure_domains(make_examples(real), make_examples(inventions))
    assert domains["d"]["synthesized"]["nearest_similarity"] > 0.35
    assert not domains["d"]["is_paraphrased"]


def test_how_alike_real_questions_are() -> None:
    """A domain with four real questions uses its own similarity; one with fewer uses the larger of its own and the mean of the
    domains with four, or of a constant if there are none."""

    def entry(measured: int, value: float | None) -> dict[str, dict[str, float | int | None]]:
        return {"real": {"measured": measured, "nearest_similarity": value}}

    domains = {"a": entry(9, 0.1), "b": entry(4, 0.3), "few": entry(3, 0.05), "same": entry(2, 0.6), "none": entry(0, None)}
    found = {name: estimate_real_similarity(domains, name)["nearest_similarity"] for name in domains}
    assert found == {"a": 0.1, "b": 0.3, "few": pytest.approx(0.2), "same": 0.6, "none": pytest.approx(0.2)}
    assert estimate_real_similarity({"few": entry(3, 0.05)}, "few")["nearest_similarity"] == 0.30


def test_vectors_tell_paraphrases_in_other_words() -> None:
    """Inventions without common words raise the alarm if their vectors are alike and those of the real questions are not."""
    degrees = {text: 0.0 if text in VARIED[:5] else 40.0 * place for place, text in enumerate(VARIED)}

    def embed(texts: Sequence[str]) -> np.ndarray:
        angles = np.radians([degrees[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    real, inventions = make_examples(VARIED[5:]), make_examples(VARIED[:5])
    assert not measure_domains(real, inventions)["d"]["is_paraphrased"]
    domains = measure_domains(real, inventions, Vectors(embed, real))
    assert domains["d"]["synthesized"]["nearest_cosine"] == 1.0
    assert domains["d"]["real"]["nearest_cosine"] == round(float(np.cos(np.radians(40))), 5)
    assert domains["d"]["is_paraphrased"]


def test_the_warning_names_domains_figures_and_remedies() -> None:
    """The warning lists each domain with its number of inventions and their similarity, and remedies."""
    domains = measure_domains(make_examples(VARIED), make_examples(PARAPHRASES))
    text = describe_paraphrased(domains)
    assert text is not None
    nearest, real = (domains["d"][kind]["nearest_similarity"] for kind in ("synthesized", "real"))
    assert f"d (8 examples: 3-shingle Jaccard {nearest:.2f}, real examples {real:.2f})" in text
    assert "teacher.temperature" in text
    assert describe_paraphrased(measure_domains(make_examples(VARIED[:5]), make_examples(VARIED[5:]))) is None
    many = [example for place in range(7) for example in make_examples(PARAPHRASES, f"d{place}")]
    assert ", and 2 more" in str(describe_paraphrased(measure_domains([], many)))


def test_the_summary_is_the_mean_of_domains_with_inventions() -> None:
    """A summary counts the domains with inventions, averages over them, and fits on one line."""
    real = [*make_examples(VARIED[:2], "a"), *make_examples(VARIED[2:5], "b"), *make_examples(VARIED, "head")]
    domains = measure_domains(real, [*make_examples(PARAPHRASES, "a"), *make_examples(VARIED[5:], "b")])
    summary = summarize(domains)
    assert summary["domains"] == 2
    assert (summary["real"]["count"], summary["synthesized"]["count"]) == (5, 13)
    expected = (domains["a"]["synthesized"]["distinct_2"] + domains["b"]["synthesized"]["distinct_2"]) / 2
    assert summary["synthesized"]["distinct_2"] == pytest.approx(expected, abs=1e-5)
    assert summary["paraphrased"] == ["a"]
    line = describe_summary(summary)
    assert "\n" not in line
    assert "13 synthesized examples in 2 domain(s)" in line
    assert line.endswith("little more than paraphrases: a")
