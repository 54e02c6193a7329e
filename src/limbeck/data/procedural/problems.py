"""The `reasoning-gym` domains: endless problems with exact answers and step-by-step solutions.

Problems come from the `reasoning-gym` generators. The question is one short sentence that can be parsed, so a solver needs
nothing but the question. Operands are small, so that a small student can learn the steps.

`reasoning-gym` seeds item i with seed + i, so two seeds share nearly all items. Therefore every split comes from *one*
de-duplicated stream per domain, and the tutor's own inventions come from a distant part of it (`SYNTHESIS_OFFSET`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from limbeck.data.longtail import LongTail, choose_without_leaks, compute_zipf_sizes
from limbeck.data.overlap import normalise_question
from limbeck.data.procedural.solutions import (
    Solution,
    solve_chain_sum,
    solve_gcd,
    solve_leg_counting,
    solve_letter_counting,
    solve_prime_factorization,
    solve_products,
    solve_spell_backward,
    solve_word_sorting,
)
from limbeck.errors import ConfigError, DataError

STREAM_LENGTH = 2_000_000
SYNTHESIS_OFFSET = 1_000_000
_MAX_REPEATS_IN_A_ROW = 20_000
_SPARE = 25  # extra rows that can replace leaking training rows


@dataclass(frozen=True)
class Problem:
    """A question of a domain and its correct answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class ProceduralDomain:
    """One domain.

    Attributes:
        config: settings of the `reasoning-gym` generator.
        answer_type: how its answers are compared.
        ask: writes the question in one sentence from a generated item's metadata.
        solve: ``(question, slip) -> Solution``; with a random generator as `slip`, one step is wrong and later steps use it.
    """

    config: Mapping[str, Any]
    answer_type: str
    ask: Callable[[Mapping[str, Any]], str]
    solve: Callable[[str, random.Random | None], Solution]


def _ask_leg_counting(item: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{count} {name}s" for name, count in item["animals"].items())
    return f"How many legs do {listed} have in total?"


DOMAINS: Mapping[str, ProceduralDomain] = {
    "chain_sum": ProceduralDomain(
        {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2},
        "number",
        lambda item: f"Calculate {item['expression']}.",
        solve_chain_sum,
    ),
    "letter_counting": ProceduralDomain(
        {"min_words": 3, "max_words": 3},
        "number",
        lambda item: f'How often does the letter "{item["target_letter"]}" occur in "{" ".join(item["span"])}"?',
        solve_letter_counting,
    ),
    "prime_factorization": ProceduralDomain(
        {"min_value": 4, "max_value": 110},
        "text",
        lambda item: f"Write {item['number']} as a product of primes in ascending order.",
        solve_prime_factorization,
    ),
    "word_sorting": ProceduralDomain(
        {"min_words": 2, "max_words": 3, "min_word_length": 4, "max_word_length": 6, "transformation": "lowercase"},
        "text",
        lambda item: f"Sort these words in {item['direction']} order: {', '.join(item['transformed_words'])}.",
        solve_word_sorting,
    ),
    "leg_counting": ProceduralDomain(
        {"min_animals": 1, "max_animals": 2, "min_instances": 1, "max_instances": 4},
        "number",
        _ask_leg_counting,
        solve_leg_counting,
    ),
    "products": ProceduralDomain(
        {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
        "number",
        lambda item: f"Multiply {item['expression'].replace('*', 'by')}.",
        solve_products,
    ),
    "gcd": ProceduralDomain(
        {"min_numbers": 2, "max_numbers": 2, "min_value": 2, "max_value": 16},
        "number",
        lambda item: "Of {} and {}, find the greatest common divisor.".format(*item["numbers"]),
        solve_gcd,
    ),
    "spell_backward": ProceduralDomain(
        {"min_word_len": 3, "max_word_len": 3},
        "text",
        lambda item: f"Spell this word backward: {item['word']}.",
        solve_spell_backward,
    ),
}

# Data sets by name: domains by descending size, and the size of the largest.
DATA_SETS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "quickstart": (tuple(DOMAINS), 80),
    # The three domains with few different problems are the rarest.
    "study": (
        (
            "chain_sum",
            "leg_counting",
            "word_sorting",
            "letter_counting",
            "products",
            "spell_backward",
            "gcd",
            "prime_factorization",
        ),
        240,
    ),
}


@lru_cache(maxsize=64)
def _load_stream(domain: str, seed: int) -> Any:  # noqa: ANN401 (reasoning-gym has no types)
    try:
        import reasoning_gym
    except ImportError as error:
        raise ConfigError(
            "the tutor's problems need reasoning-gym, which is not installed; run pip install -e '.[tutor]' (its pycosat "
            "dependency needs a C compiler)"
        ) from error
    config = dict(DOMAINS[domain].config)
    if "transformation" in config:
        from reasoning_gym.algorithmic.word_sorting import TextTransformation

        config["transformation"] = TextTransformation(config["transformation"])
    return reasoning_gym.create_dataset(domain, seed=seed, size=STREAM_LENGTH, **config)


def draw_problem(domain: str, seed: int, index: int) -> Problem:
    """Problem number `index` of the domain's stream; seeds give different streams only if they are far apart."""
    item = _load_stream(domain, seed)[index]
    return Problem(DOMAINS[domain].ask(item["metadata"]), str(item["answer"]))


def draw_distinct(domain: str, seed: int, count: int) -> Iterator[Problem]:
    """The first `count` different problems of the domain's stream.

    Raises:
        DataError: the generator has fewer different problems.
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
            raise DataError(f"{domain} has only {len(seen)} different problems, but {count} are needed")


def make_procedural_longtail(
    name: str, *, exponent: float = 1.1, seed: int = 13, dev_per_domain: int = 10, test_per_domain: int = 20
) -> LongTail:
    """A named long-tailed data set of procedural problems (``limbeck longtail tutor:NAME``).

    Raises:
        ConfigError: there is no data set of that name.
    """
    if name not in DATA_SETS:
        raise ConfigError(f"no data set tutor:{name}; known: {', '.join(f'tutor:{known}' for known in DATA_SETS)}")
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
