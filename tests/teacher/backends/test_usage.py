"""The token counts of every common server are read, whatever they are called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.teacher.backends.http_parts import read_usage


def read(usage: object) -> tuple[int, int, int, int]:
    counts = read_usage(usage, 5000, 512)
    return counts["prompt_tokens"], counts["completion_tokens"], counts["reasoning_tokens"], counts["cached_tokens"]


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}, (100, 20, 0, 0)),
        (  # OpenAI
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 12},
            },
            (100, 20, 12, 64),
        ),
        (  # DeepSeek
            {"prompt_tokens": 100, "completion_tokens": 20, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
            (100, 20, 0, 64),
        ),
        ({"prompt_tokens": 100, "completion_tokens": 20, "cached_tokens": 64}, (100, 20, 0, 64)),  # Kimi
        ({"input_tokens": 100, "output_tokens": 20}, (100, 20, 0, 0)),  # Anthropic
        (
            {"input_tokens": 30, "output_tokens": 20, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 6},
            (100, 20, 0, 64),
        ),
        (  # a proxy before Anthropic, which counts cached tokens as prompt tokens
            {"prompt_tokens": 100, "completion_tokens": 20, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 6},
            (100, 20, 0, 64),
        ),
        (  # OpenAI's Responses API
            {
                "input_tokens": 100,
                "output_tokens": 20,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens_details": {"reasoning_tokens": 12},
            },
            (100, 20, 12, 64),
        ),
        ({"inputTokens": 36, "outputTokens": 20, "totalTokens": 120, "cacheReadInputTokens": 64}, (100, 20, 0, 64)),  # Bedrock
        (  # Gemini
            {
                "promptTokenCount": 100,
                "candidatesTokenCount": 8,
                "thoughtsTokenCount": 12,
                "totalTokenCount": 120,
                "cachedContentTokenCount": 64,
            },
            (100, 20, 12, 64),
        ),
        (
            {"tokens": {"input_tokens": 100, "output_tokens": 20}, "billed_units": {"input_tokens": 9}},
            (100, 20, 0, 0),
        ),  # Cohere
        ({"prompt_eval_count": 100, "eval_count": 20}, (100, 20, 0, 0)),  # Ollama
        ({"prompt_tokens": 100.0, "completion_tokens": "20"}, (100, 20, 0, 0)),
        ({"prompt_tokens": 99.5, "completion_tokens": " 20.0 "}, (100, 20, 0, 0)),
        ({"prompt_tokens": 100, "total_tokens": 120}, (100, 20, 0, 0)),
        ({"completion_tokens": 20, "total_tokens": 120}, (100, 20, 0, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 8, "total_tokens": 120, "reasoning_tokens": 12}, (100, 20, 12, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 0}, (100, 0, 0, 0)),
        ({"prompt_tokens": None, "input_tokens": 100, "output_tokens": 20}, (100, 20, 0, 0)),
    ],
)
def test_counts_of_each_server(usage: dict[str, Any], counts: tuple[int, int, int, int]) -> None:
    """Prompt, completion, reasoning and cached tokens are read, and nothing is counted twice."""
    assert read(usage) == counts


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "100",
        {"prompt_tokens": True},
        {"prompt_tokens": -1},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": "many"},
    ],
)
def test_without_counts_the_bounds_are_charged(usage: object) -> None:
    """What is no count is charged at its upper bound."""
    assert read(usage) == (5000, 512, 0, 0)


COUNT = st.integers(0, 10**6)


@given(COUNT, COUNT, COUNT, st.sampled_from([int, float, str]))
def test_missing_counts_follow_from_the_others(prompt: int, completion: int, cached: int, spell: type) -> None:
    """Of prompt, completion and total any one may be missing, and the way a number is written makes no difference."""
    whole = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    for missing in whole:
        usage = {name: spell(count) for name, count in whole.items() if name != missing}
        assert read({**usage, "cached_tokens": spell(cached)}) == (prompt, completion, 0, min(cached, prompt))
