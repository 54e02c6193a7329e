"""What a teacher puts around an example is taken off, and blanks, lists and other labels are found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example, Rejected
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes.generate import Asked, read_generated
from limbeck.teacher.purposes.synthesize import read_new_example
from limbeck.teacher.purposes.wrapping import cut_wrapping, find_placeholder, has_several, take_label
from limbeck.teacher.request import About, Reply, TeacherRequest

LABELS = ["positive", "negative"]
REVIEWS = Task(answer="label", labels=LABELS, fields=("text",), noun="film-review sentence")
PAIRS = Task(
    answer="label", labels=LABELS, fields=("premise", "hypothesis"), template="{premise} {hypothesis}", noun="pair of sentences"
)
REVIEW = "The acting was superb and moving."


def read(text: str, task: Task = REVIEWS, shown: str = "A lovely evening at the movies.") -> Example | Rejected:
    fields = {"text": shown} if task is REVIEWS else {"premise": shown, "hypothesis": "It rained."}
    example = make_example(shown, "positive", domain="positive", answer_type="label", fields=fields)
    messages = ({"role": "user", "content": "Please invent something new."},)
    request = TeacherRequest("m", messages, {"max_tokens": 99}, About("synthesize", 0, "positive", (example,)))
    return read_generated(Outcome(request, Reply(text, "m")), Asked(task, LABELS, True, False))


def get_reason(verdict: Example | Rejected) -> str:
    return verdict.reason if isinstance(verdict, Rejected) else "kept"


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "Sure! Here is a positive film-review sentence: {}",
        "Here's one:\n\n{}",
        "Here is a positive review that praises the film: {}",
        'Certainly! Here\'s a positive review:\n\n"{}"',
        "Of course. Here is an example of a positive review: {}",
        "Sure!\n{}",
        "Sure, here you go!\n\n{}",
        "I've written a sentence for you: {}",
        "{} Let me know if you need another!",
        "{}\n\nLet me know if you'd like more reviews.",
        "{}\n\nI hope this helps!",
        "{}\n\n(Note: this sentence is positive.)",
        "Sure! Here is a sentence:\n\n{}\n\nWould you like another one?",
        "Text: {}\n\nFeel free to adjust it.",
        "Review: {}",
        "**Film-review sentence:** {}",
        "A positive film-review sentence: {}",
        "Sure, I'll write a positive review. {}",
        "Positive: {}",
        "POSITIVE: {}",
        "**Positive:** {}",
        "(positive) {}",
        "[Positive] {}",
        "Positive – {}",
        "Positive review: {}",
        "Label: positive\nText: {}",
        "Sentiment: **Positive**\n{}",
        "{}\nLabel: positive",
        "{} (positive)",
        "{} [Label: positive]",
        "{} Sentiment: positive",
        "{}\nThe answer is: positive",
        "Text: Positive: {}",
        '{{"text": "{}", "label": "positive"}}',
        '```json\n{{\n  "text": "{}",\n  "label": "Positive"\n}}\n```',
        '{{"text": "Positive: {}"}}',
        '{{"text": "{}", "id": 1}}',
    ],
)
def test_only_the_example_is_left(form: str) -> None:
    """A lead-in, a remark to the user and the label asked for are cut off in every form."""
    kept = read(form.format(REVIEW))
    assert isinstance(kept, Example), kept
    assert (kept.question, kept.answer) == (REVIEW, "positive")


@pytest.mark.parametrize(
    "form",
    [
        "Negative: {}",
        "**Negative**: {}",
        "[negative] {}",
        "Label: negative\nText: {}",
        "{}\nLabel: negative",
        "{} (negative)",
        "{}\nThe answer is: negative",
        '{{"text": "{}", "label": "negative"}}',
        '{{"text": "{}", "sentiment": "Negative."}}',
        '{{"text": "{}", "label": "mixed"}}',
        '{{"text": "Negative: {}"}}',
        "Positive: {} (negative)",
        "Here is a negative review: {}",
        "Sure! Here's a negative film-review sentence:\n\n{}",
        "A negative film-review sentence: {}",
    ],
)
def test_another_label_is_the_wrong_one(form: str) -> None:
    """An example that is marked with a label other than the one asked for is rejected as `wrong_label`."""
    assert get_reason(read(form.format(REVIEW))) == "wrong_label"


def test_labels_beside_two_fields() -> None:
    """Of an example with several fields, the label in a line of its own or in JSON is checked and is part of no field."""
    fields = {"premise": "A man runs in a park.", "hypothesis": "Somebody moves about."}
    lines = "\n".join(f"{name.capitalize()}: {value}" for name, value in fields.items())
    for said in (f"{lines}\nLabel: positive", f"Label: positive\n{lines}", json.dumps({**fields, "label": "positive"})):
        kept = read(said, PAIRS)
        assert isinstance(kept, Example)
        assert kept.fields == fields
    for said in (f"{lines}\nLabel: negative", f"Label: negative\n{lines}", json.dumps({**fields, "label": "negative"})):
        assert get_reason(read(said, PAIRS)) == "wrong_label"


@pytest.mark.parametrize(
    "text",
    [
        "Here's the thing: the film drags.",
        "This is the film of the year: superb.",
        "Sure, the plot is thin, but I liked it.",
        "A positive: the acting.",
        "The acting was positive.",
        "I hope this director makes more films.",
        "Positive reviews made me watch it.",
        "Not a negative word from me!",
    ],
)
def test_texts_of_their_own_are_left_as_they_are(text: str) -> None:
    """A text that only resembles a lead-in, a remark or a label is data."""
    kept = read(text)
    assert isinstance(kept, Example)
    assert kept.question == text


@pytest.mark.parametrize(
    "text",
    [
        "1. The acting was superb. 2. The music was grand. 3. I cried at the end.",
        "(1) The acting was superb. (2) The music was grand.",
        "a) The acting was superb. b) The music was grand.",
        "① The acting was superb. ② The music was grand.",
        "Review 1: The acting was superb. Review 2: The music was grand.",
        "Option A: The acting was superb. Option B: The music was grand.",
        "• The acting was superb. • The music was grand.",
        "- The acting was superb. - The music was grand.",
        '"The acting was superb." "The music was grand."',
        "Here are two: 1. The acting was superb. 2. The music was grand.",
        "Text: 1. The acting was superb. 2. The music was grand.",
    ],
)
def test_lists_are_malformed(text: str) -> None:
    """Several texts in one line are not the one example that was asked for."""
    assert get_reason(read(text)) == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        "1. A fine film.",
        '"Fine" and "dandy"',
        "3.5 stars, and 2. place in my list.",
        "Part 1 was better than part 2.",
        "He saw film 1. Then I saw film 2.",
        "- A fine film - and a long one.",
    ],
)
def test_one_text_is_no_list(text: str) -> None:
    """Numbers, quotes and dashes inside one text make no list."""
    assert not has_several(text)


@pytest.mark.parametrize(
    "blank",
    [
        "[Actor Name]",
        "[Movie Title]",
        "[name]",
        "[film name]",
        "[actor's name]",
        "[NAME]",
        "[insert title here]",
        "[Your Company]",
        "[Name of the Film]",
        "<name>",
        "<film title>",
        "<movie_name>",
        "{title}",
        "{{ title }}",
        "{actor_name}",
        "(insert name)",
        "Lorem ipsum",
        "XXX",
        "XXXX",
        "___",
    ],
)
def test_blanks_are_no_example(blank: str) -> None:
    """A text with a blank to be filled in is rejected, unless the shown examples have such blanks too."""
    text = f"The acting by {blank} was superb and moving."
    assert get_reason(read(text)) == "placeholder"
    assert get_reason(read(text, shown=f"I liked {blank} very much.")) == "kept"
    example = make_example("How many?", "5", answer_type="number")
    request = TeacherRequest("m", (), {"max_tokens": 99}, About("synthesize", 0, "d", (example,)))
    reply = Reply(f"Question: {blank} has 2 apples and buys 3. How many?\nRationale: Add.\nThe answer is: 5", "m")
    assert get_reason(read_new_example(Outcome(request, reply), Task(answer="number"), is_domain_answer=False)) == "placeholder"


@pytest.mark.parametrize(
    "text",
    [
        "[1] and [sic] and [a, b]",
        r"\text{name} and \frac{a}{b}",
        "x_{max} and 2^{time}",
        "<br> and <b>bold</b>",
        "if a < b and b > c",
        "the set {red, blue}",
        "[Music] plays, [laughs]",
        "[see](link) and [Click Here](http://x)",
        "[[Main Page]]",
        "XXX is 30 in Roman numerals",
        "${HOME} and %(name)s and {text}",
        "{{ 7 * 7 }}",
        "arr[i] and f(x) = {x}",
    ],
)
def test_brackets_are_no_blanks(text: str) -> None:
    """Citations, mathematics, markup, links and code are no blanks."""
    assert find_placeholder([text], ["shown"]) is None


@given(st.text(max_size=200))
def test_any_text_is_unwrapped(text: str) -> None:
    """Whatever is cut off, something of the text is left, and it is a part of the text."""
    cut = cut_wrapping(text, ["review"])
    assert cut in text
    assert bool(cut.strip()) == bool(text.strip())
    rest, stated = take_label(text, LABELS, ["text"])
    assert stated <= set(LABELS)
    assert stated or rest == text


@given(st.sampled_from(["positive", "negative"]), st.lists(st.sampled_from(["a", "b c", "é", "5"]), min_size=1).map(" ".join))
def test_marks_name_their_label(label: str, text: str) -> None:
    """A label before a text is told from the text, whatever the text is."""
    for form in ("{}: {}", "**{}:** {}", "[{}] {}", "Label: {}\n{}"):
        assert take_label(form.format(label.title(), text), LABELS, ["text"]) == (text, {label})


def test_marks_with_letters_of_several_cases() -> None:
    """A label is found where its capital letter folds to two characters."""
    assert take_label("İyi: güzel film", ["iyi", "kötü"], ["text"]) == ("güzel film", {"iyi"})


@pytest.mark.timeout(60)  # takes minutes if any of it is quadratic
@pytest.mark.parametrize("text", ["Sure! ", "Here is a review ", "1. a 2", "[", "{{", "• ", '"a" ', " ", "Label: ", "x"])
def test_long_replies_are_unwrapped_quickly(text: str) -> None:
    """A long reply of marks is read in no time."""
    long = text * 20_000
    cut_wrapping(long, ["review"])
    take_label(long, LABELS, ["text"])
    has_several(long)
    find_placeholder([long], [long])
