"""The `fake-teacher` command. It imports heavy modules only when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.options import AsJson


def fake_teacher(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Local port; 0 picks a free one.")] = 0,
    replies: Annotated[Path | None, typer.Option(metavar="FILE", help="JSONL rows {match, text} of scripted replies.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    model: Annotated[str, typer.Option(help="Model name in the replies.")] = "fake-teacher",
    latency_ms: Annotated[float, typer.Option(min=0, help="Delay before each reply.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=SHARE",
            help="Share of requests with this fault; repeatable. Kinds: throttle (429), fail (500), drop, cut, stall, "
            "truncate, refuse, empty, filter, malformed, language.",
        ),
    ] = None,
    retry_after_s: Annotated[float | None, typer.Option(min=0, help="Retry-After of a 429.")] = None,
    stall_s: Annotated[float, typer.Option(min=0, help="Duration of a stalled reply.")] = 600,
    model_change_after: Annotated[int | None, typer.Option(min=0, help="Change the model name after so many replies.")] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="Answer 429 beyond so many requests at once.")] = None,
    outage: Annotated[
        tuple[int, float] | None, typer.Option(metavar="N S", help="After N requests, answer 503 for S seconds.")
    ] = None,
    reasoning_tokens: Annotated[int, typer.Option(min=0, help="Reasoning tokens reported per reply.")] = 0,
    cached_tokens: Annotated[int, typer.Option(min=0, help="Cached tokens reported per prompt.")] = 0,
    idempotent: Annotated[
        bool, typer.Option("--idempotent", help="Replay replies by Idempotency-Key, free of charge.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a fake teacher for dry runs, not for training."""
    from limbeck.fake_teacher.behaviour import WARNING, FakeTeacher, make_settings, read_faults
    from limbeck.fake_teacher.server import serve
    from limbeck.teacher.backends.scripted import read_replies

    settings = make_settings(
        seed=seed,
        model=model,
        latency_s=latency_ms / 1000,
        faults=read_faults(fault or ()),
        retry_after_s=retry_after_s,
        stall_s=stall_s,
        model_change_after=model_change_after,
        capacity=capacity,
        outage=outage,
        reasoning_tokens=reasoning_tokens,
        cached_tokens=cached_tokens,
        is_idempotent=idempotent,
    )
    server = FakeTeacher(settings, read_replies(replies) if replies else ())

    def show(url: str, port: int) -> None:
        line = json.dumps({"url": url, "port": port, "note": WARNING})
        print(line if as_json else f"fake teacher: teacher.base_url={url} (port {port}); {WARNING}", flush=True)

    counts = serve(server, port, show)
    if as_json:
        print(json.dumps(counts))
    else:
        kinds = ", ".join(f"{name} {count}" for name, count in counts["outcomes"].items())
        tokens = f"{counts['prompt_tokens']} + {counts['completion_tokens']} tokens"
        print(
            f"{counts['requests']} requests ({kinds or 'none'}), {counts['served']} replies served, at most "
            f"{counts['most_at_once']} at once, {tokens}"
        )
