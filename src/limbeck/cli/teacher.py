"""The command that serves a fake teacher. What is heavy is imported inside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.options import AsJson


def _share(what: str) -> Any:  # noqa: ANN401 (typer names no type for its options)
    return typer.Option(min=0, max=1, metavar="SHARE", help=f"Share of requests that get {what}.")


def fake_teacher(
    context: typer.Context,  # carries the flags by name, as they stand below
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes any that is free.")] = 0,
    replies: Annotated[Path | None, typer.Option(metavar="FILE", help="JSONL rows {match, text} of what it says.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    model: Annotated[str, typer.Option(help="Name under which it answers.")] = "fake-teacher",
    latency_ms: Annotated[float, typer.Option(min=0, help="Time before each reply.")] = 0,
    latency_spread_ms: Annotated[float, typer.Option(min=0, help="Of this, each reply takes a drawn share more.")] = 0,
    throttle: Annotated[float, _share("429")] = 0,
    retry_after_s: Annotated[float | None, typer.Option(min=0, help="What a 429 asks to wait.")] = None,
    fail: Annotated[float, _share("500")] = 0,
    drop: Annotated[float, _share("a dropped connection and no reply")] = 0,
    cut: Annotated[float, _share("half of the reply's JSON")] = 0,
    stall: Annotated[float, _share("a reply that trickles for --stall-s")] = 0,
    stall_s: Annotated[float, typer.Option(min=0, help="How long a trickling reply takes.")] = 600,
    truncate: Annotated[float, _share("half of the text (length)")] = 0,
    refuse: Annotated[float, _share("a refusal")] = 0,
    empty: Annotated[float, _share("an empty text")] = 0,
    filter: Annotated[float, _share("no text (content_filter)")] = 0,
    malformed: Annotated[float, _share("a text in no form")] = 0,
    language: Annotated[float, _share("a text in another script")] = 0,
    model_change_after: Annotated[int | None, typer.Option(min=0, help="Replies before its name changes.")] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="More requests than this at once get 429.")] = None,
    outage: Annotated[tuple[int, float] | None, typer.Option(metavar="N S", help="After N requests 503 for S seconds.")] = None,
    reasoning_tokens: Annotated[int, typer.Option(min=0, help="Reasoning tokens it counts in a reply.")] = 0,
    cached_tokens: Annotated[int, typer.Option(min=0, help="Cached tokens it counts in a prompt.")] = 0,
    idempotent: Annotated[bool, typer.Option("--idempotent", help="Replay replies by Idempotency-Key, unpaid.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a fake teacher on this machine that fails as told, to try a run: its replies are worth nothing for training."""
    from limbeck.fake_teacher.behaviour import WARNING, FakeTeacher, read_settings
    from limbeck.fake_teacher.server import serve
    from limbeck.teacher.backends.scripted import read_replies

    settings = read_settings({name: context.params[name] for name in set(context.params) - {"port", "replies", "as_json"}})
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
