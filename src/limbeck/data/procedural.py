"""The `reasoning-gym` domains: endless problems with exact answers, and a step-by-step solution of each.

Problems come from the `reasoning-gym` generators; the question is put in one short sentence and can be read back, so a
solver needs nothing but the question. Operands are small, so that a small student can learn the steps.

`reasoning-gym` seeds item i with seed + i, so two seeds share nearly all items: every split is drawn from *one*
de-duplicated stream per domain, and the tutor's own inventions come from a far part of it (`SYNTHESIS_OFFSET`).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from limbeck.data.longtail import LongTail, choose_without_leaks, compute_zipf_sizes
from limbeck.data.overlap import normalise_question
from limbeck.errors import ConfigError, DataError

STREAM_LENGTH = 2_000_000
SYNTHESIS_OFFSET = 1_000_000
_MAX_REPEATS_IN_A_ROW = 20_000
_SPARE = 25  # rows beyond the training set that may replace leaking ones


@dataclass(frozen=True)
class Solution:
    """Steps in plain sentences, and the answer they end in (which the steps do not repeat)."""

    rationale: str
    answer: str


@dataclass(frozen=True)
class Problem:
    """A question of a domain and its true answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class ProceduralDomain:
    """One domain.

    Attributes:
        config: settings of the `reasoning-gym` generator.
        answer_type: how its answers are compared.
        ask: the question in one sentence, from a generated item's metadata.
        solve: ``(question, slip) -> Solution``; with a generator as `slip`, one step is wrong and carried on.
    """

    config: Mapping[str, Any]
    answer_type: str
    ask: Callable[[Mapping[str, Any]], str]
    solve: Callable[[str, random.Random | None], Solution]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _off_by_one(slip: random.Random | None, step_count: int) -> list[int]:
    """An error for each step: all 0, or with `slip` one of them +1 or −1."""
    errors = [0] * step_count
    if slip is not None and step_count:
        errors[slip.randrange(step_count)] = slip.choice((-1, 1))
    return errors


def _swap_neighbours(items: list[str], slip: random.Random | None) -> None:
    """With `slip`, exchange two neighbours that differ, in place; where all are alike, drop the last."""
    if slip is None:
        return
    places = [place for place in range(len(items) - 1) if items[place].casefold() != items[place + 1].casefold()]
    if not places:
        items.pop()
        return
    place = slip.choice(places)
    items[place], items[place + 1] = items[place + 1], items[place]


def _solve_chain_sum(question: str, slip: random.Random | None) -> Solution:
    expression = question.removeprefix("Calculate ").removesuffix(".")
    first, *rest = re.findall(r"[+-]?\s*\d+", expression)
    total, steps = int(first), []
    for term, error in zip(rest, _off_by_one(slip, len(rest)), strict=True):
        value = int(term.replace(" ", ""))
        result = total + value + error
        steps.append(f"{total} {'-' if value < 0 else '+'} {abs(value)} = {result}.")
        total = result
    return Solution(" ".join(steps), str(total))


def _solve_letter_counting(question: str, slip: random.Random | None) -> Solution:
    letter, text = re.findall(r'"([^"]*)"', question)
    words = text.split()
    counts = [abs(word.lower().count(letter.lower()) + error)  # below zero would hide the slip
              for word, error in zip(words, _off_by_one(slip, len(words)), strict=True)]  # fmt: skip
    steps = ", ".join(f"{word} {count}" for word, count in zip(words, counts, strict=True))
    return Solution(f"{steps}. {' + '.join(map(str, counts))} = {sum(counts)}.", str(sum(counts)))


def _solve_prime_factorization(question: str, slip: random.Random | None) -> Solution:
    number = rest = _numbers(question)[0]
    factors: list[int] = []
    steps = [str(number)]
    divisor = 2
    while divisor * divisor <= rest:
        if rest % divisor == 0:
            factors.append(divisor)
            rest //= divisor
            steps.append(" × ".join(map(str, [*factors, rest])))
        else:
            divisor += 1
    if slip is not None:
        rest += slip.choice((1, 2))
        steps.append(" × ".join(map(str, [*factors, rest])))
    return Solution(
        f"{' = '.join(steps)}." if len(steps) > 1 else f"{number} is prime.", " × ".join(map(str, [*factors, rest]))
    )


def _solve_word_sorting(question: str, slip: random.Random | None) -> Solution:
    words = question.rstrip(".").split(": ")[1].split(", ")
    length = next(n for n in range(1, 100) if len({word[:n] for word in words}) == len(set(words)))
    ordered = sorted(words, reverse="descending" in question)
    _swap_neighbours(ordered, slip)
    starts = ", ".join(word[:length] for word in words)
    return Solution(f"{starts} become {', '.join(word[:length] for word in ordered)}.", ", ".join(ordered))


def _solve_leg_counting(question: str, slip: random.Random | None) -> Solution:
    animals = re.findall(r"(\d+) ([a-z ]+?)(?:,| have)", question)
    products = []
    steps = []
    for (count, name), error in zip(animals, _off_by_one(slip, len(animals)), strict=True):
        legs = _legs()[name.removesuffix("s")]
        products.append(int(count) * legs + error)
        steps.append(f"{count} {name}: {count} × {legs} = {products[-1]}.")
    return Solution(" ".join([*steps, f"{' + '.join(map(str, products))} = {sum(products)}."]), str(sum(products)))


def _solve_products(question: str, slip: random.Random | None) -> Solution:
    first, second = _numbers(question)
    large, small = max(first, second), min(first, second)
    digits = str(large)
    parts = [int(digit) * 10 ** (len(digits) - place) for place, digit in enumerate(digits, 1) if digit != "0"] or [0]
    values = [part * small + error for part, error in zip(parts, _off_by_one(slip, len(parts)), strict=True)]
    steps = [f"{part} × {small} = {value}." for part, value in zip(parts, values, strict=True)]
    if len(values) > 1:
        steps.append(f"{' + '.join(map(str, values))} = {sum(values)}.")
    return Solution(" ".join(steps), str(sum(values)))


def _solve_gcd(question: str, slip: random.Random | None) -> Solution:
    first, second = _numbers(question)
    divisor = math.gcd(first, second)
    if slip is not None:
        divisor += slip.choice((1, 2))
    return Solution(f"{first} = {divisor} × {first // divisor}. {second} = {divisor} × {second // divisor}.", str(divisor))


def _solve_spell_backward(question: str, slip: random.Random | None) -> Solution:
    word = question.rstrip(".").split(": ")[1]
    letters = list(reversed(word))
    _swap_neighbours(letters, slip)
    return Solution(f"{' '.join(word)} becomes {' '.join(letters)}.", "".join(letters))


def _ask_leg_counting(item: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{count} {name}s" for name, count in item["animals"].items())
    return f"How many legs do {listed} have in total?"


@lru_cache(maxsize=1)
def _legs() -> dict[str, int]:
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    return dict(ANIMALS)


DOMAINS: Mapping[str, ProceduralDomain] = {
    "chain_sum": ProceduralDomain(
        {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2},
        "number",
        lambda item: f"Calculate {item['expression']}.",
        _solve_chain_sum,
    ),
    "letter_counting": ProceduralDomain(
        {"min_words": 3, "max_words": 3},
        "number",
        lambda item: f'How often does the letter "{item["target_letter"]}" occur in "{" ".join(item["span"])}"?',
        _solve_letter_counting,
    ),
    "prime_factorization": ProceduralDomain(
        {"min_value": 4, "max_value": 130},
        "text",
        lambda item: f"Write {item['number']} as a product of primes in ascending order.",
        _solve_prime_factorization,
    ),
    "word_sorting": ProceduralDomain(
        {"min_words": 3, "max_words": 3, "min_word_length": 4, "max_word_length": 6, "transformation": "lowercase"},
        "text",
        lambda item: f"Sort these words in {item['direction']} order: {', '.join(item['transformed_words'])}.",
        _solve_word_sorting,
    ),
    "leg_counting": ProceduralDomain(
        {"min_animals": 2, "max_animals": 2, "min_instances": 1, "max_instances": 4},
        "number",
        _ask_leg_counting,
        _solve_leg_counting,
    ),
    "products": ProceduralDomain(
        {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
        "number",
        lambda item: f"Multiply {item['expression'].replace('*', 'by')}.",
        _solve_products,
    ),
    "gcd": ProceduralDomain(
        {"min_numbers": 2, "max_numbers": 2, "min_value": 2, "max_value": 24},
        "number",
        lambda item: "Of {} and {}, find the greatest common divisor.".format(*item["numbers"]),
        _solve_gcd,
    ),
    "spell_backward": ProceduralDomain(
        {"min_word_len": 3, "max_word_len": 4},
        "text",
        lambda item: f"Spell this word backward: {item['word']}.",
        _solve_spell_backward,
    ),
}

# Data sets by name: domains in the order of size, and the size of the largest.
DATA_SETS: Mapping[str, tuple[tuple[str, ...], int]] = {"quickstart": (tuple(DOMAINS), 80)}


@lru_cache(maxsize=64)
def _load_stream(domain: str, seed: int) -> Any:  # noqa: ANN401 (reasoning-gym has no types)
    try:
        import reasoning_gym
    except ImportError as error:
        raise ConfigError(
            "the tutor's problems come from reasoning-gym: pip install 'limbeck[tutor]' (its pycosat dependency needs a "
            "C compiler)"
        ) from error
    config = dict(DOMAINS[domain].config)
    if "transformation" in config:
        from reasoning_gym.algorithmic.word_sorting import TextTransformation

        config["transformation"] = TextTransformation(config["transformation"])
    return reasoning_gym.create_dataset(domain, seed=seed, size=STREAM_LENGTH, **config)


def draw_problem(domain: str, seed: int, index: int) -> Problem:
    """Problem number `index` of the domain's stream; neighbours of one seed are different, far seeds too."""
    item = _load_stream(domain, seed)[index]
    return Problem(DOMAINS[domain].ask(item["metadata"]), str(item["answer"]))


def draw_distinct(domain: str, seed: int, count: int) -> Iterator[Problem]:
    """The first `count` different problems of the domain's stream.

    Raises:
        DataError: the generator has fewer different problems than that.
    """
    seen: set[str] = set()
    index = since_new = 0
    while len(seen) < count:
        problem = draw_problem(domain, seed, index)
        index, since_new = index + 1, since_new + 1
        text = normalise_question(problem.question)
        if text not in seen:
            seen.add(text)
            since_new = 0
            yield problem
        elif since_new > _MAX_REPEATS_IN_A_ROW:
            raise DataError(f"{domain} gave only {len(seen)} different problems, {count} are needed")


def make_procedural_longtail(
    name: str, *, exponent: float = 1.1, seed: int = 13, dev_per_domain: int = 10, test_per_domain: int = 20
) -> LongTail:
    """A named long-tailed data set of procedural problems (``limbeck longtail tutor:NAME``).

    Raises:
        ConfigError: no data set of that name.
    """
    if name not in DATA_SETS:
        raise ConfigError(f"no data set tutor:{name}; known are {', '.join(f'tutor:{known}' for known in DATA_SETS)}")
    domains, largest = DATA_SETS[name]
    sizes = dict(zip(domains, compute_zipf_sizes([largest] * len(domains), exponent), strict=True))
    dev: list[dict[str, str]] = []
    test: list[dict[str, str]] = []
    rest: dict[str, list[dict[str, str]]] = {}
    for domain, size in sizes.items():
        problems = draw_distinct(domain, seed, test_per_domain + dev_per_domain + size + _SPARE)
        rows = [
            {
                "domain": domain,
                "question": problem.question,
                "answer": problem.answer,
                "answer_type": DOMAINS[domain].answer_type,
                "source": f"reasoning-gym {domain}",
            }
            for problem in problems
        ]
        test += rows[:test_per_domain]
        dev += rows[test_per_domain : test_per_domain + dev_per_domain]
        rest[domain] = rows[test_per_domain + dev_per_domain :]
    chosen = choose_without_leaks(rest, sizes, dev + test, ("question",))
    train = tuple(row for rows in chosen.values() for row in rows)
    return LongTail(train, tuple(dev), tuple(test), {domain: len(rows) for domain, rows in chosen.items()})
