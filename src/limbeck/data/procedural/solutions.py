"""Solves the procedural problems step by step from the question alone; with `slip`, one step is wrong."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Solution:
    """Steps in plain sentences, and the final answer, which the steps do not restate."""

    rationale: str
    answer: str


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _off_by_one(slip: random.Random | None, step_count: int) -> list[int]:
    """An error for each step: all 0, or one of them +1 or −1 with `slip`."""
    errors = [0] * step_count
    if slip is not None and step_count:
        errors[slip.randrange(step_count)] = slip.choice((-1, 1))
    return errors


def _swap_neighbours(items: list[str], slip: random.Random | None) -> None:
    """With `slip`, swap two different neighbours in place; if all are equal, drop the last item."""
    if slip is None:
        return
    places = [place for place in range(len(items) - 1) if items[place].casefold() != items[place + 1].casefold()]
    if not places:
        items.pop()
        return
    place = slip.choice(places)
    items[place], items[place + 1] = items[place + 1], items[place]


def solve_chain_sum(question: str, slip: random.Random | None) -> Solution:
    """Running totals of a sum."""
    expression = question.removeprefix("Calculate ").removesuffix(".")
    first, *rest = re.findall(r"[+-]?\s*\d+", expression)
    total, steps = int(first), []
    for term, error in zip(rest, _off_by_one(slip, len(rest)), strict=True):
        value = int(term.replace(" ", ""))
        result = total + value + error
        steps.append(f"{total} {'-' if value < 0 else '+'} {abs(value)} = {result}.")
        total = result
    return Solution(" ".join(steps), str(total))


def solve_letter_counting(question: str, slip: random.Random | None) -> Solution:
    """The letter's count in each word, then their sum."""
    letter, text = re.findall(r'"([^"]*)"', question)
    words = text.split()
    counts = [
        abs(word.lower().count(letter.lower()) + error)  # a count of −1 becomes 1 and stays wrong
        for word, error in zip(words, _off_by_one(slip, len(words)), strict=True)
    ]
    steps = ", ".join(f"{word} {count}" for word, count in zip(words, counts, strict=True))
    return Solution(f"{steps}. {' + '.join(map(str, counts))} = {sum(counts)}.", str(sum(counts)))


def solve_prime_factorization(question: str, slip: random.Random | None) -> Solution:
    """Divide by the smallest factor, one at a time."""
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


def solve_word_sorting(question: str, slip: random.Random | None) -> Solution:
    """The shortest prefixes that tell the words apart, as given and then sorted."""
    words = question.rstrip(".").split(": ")[1].split(", ")
    length = next(n for n in range(1, 100) if len({word[:n] for word in words}) == len(set(words)))
    ordered = sorted(words, reverse="descending" in question)
    _swap_neighbours(ordered, slip)
    starts = ", ".join(word[:length] for word in words)
    return Solution(f"{starts} become {', '.join(word[:length] for word in ordered)}.", ", ".join(ordered))


def solve_leg_counting(question: str, slip: random.Random | None) -> Solution:
    """Legs of each kind of animal, then their sum."""
    animals = re.findall(r"(\d+) ([a-z ]+?)(?:,| have)", question)
    products = []
    steps = []
    for (count, name), error in zip(animals, _off_by_one(slip, len(animals)), strict=True):
        legs = _legs()[name.removesuffix("s")]
        products.append(int(count) * legs + error)
        steps.append(f"{count} {name}: {count} × {legs} = {products[-1]}.")
    if len(products) > 1:
        steps.append(f"{' + '.join(map(str, products))} = {sum(products)}.")
    return Solution(" ".join(steps), str(sum(products)))


def solve_products(question: str, slip: random.Random | None) -> Solution:
    """The larger factor's digits by place, each times the smaller factor, then their sum."""
    first, second = _numbers(question)
    large, small = max(first, second), min(first, second)
    digits = str(large)
    parts = [int(digit) * 10 ** (len(digits) - place) for place, digit in enumerate(digits, 1) if digit != "0"] or [0]
    values = [part * small + error for part, error in zip(parts, _off_by_one(slip, len(parts)), strict=True)]
    steps = [f"{part} × {small} = {value}." for part, value in zip(parts, values, strict=True)]
    if len(values) > 1:
        steps.append(f"{' + '.join(map(str, values))} = {sum(values)}.")
    return Solution(" ".join(steps), str(sum(values)))


def solve_gcd(question: str, slip: random.Random | None) -> Solution:
    """Both numbers as multiples of their greatest common divisor."""
    first, second = _numbers(question)
    divisor = math.gcd(first, second)
    if slip is not None:
        divisor += slip.choice((1, 2))
    return Solution(f"{first} = {divisor} × {first // divisor}. {second} = {divisor} × {second // divisor}.", str(divisor))


def solve_spell_backward(question: str, slip: random.Random | None) -> Solution:
    """The letters one by one, forward and backward."""
    word = question.rstrip(".").split(": ")[1]
    letters = list(reversed(word))
    _swap_neighbours(letters, slip)
    return Solution(f"{' '.join(word)} becomes {' '.join(letters)}.", "".join(letters))


@lru_cache(maxsize=1)
def _legs() -> dict[str, int]:
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    return dict(ANIMALS)
