"""Settings of the teacher and its backends. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from limbeck.settings import Settings
from limbeck.tables import OneOf
from limbeck.teacher.tables import BACKENDS


class Prices(Settings):
    """What the teacher charges, in USD per million tokens; without a cached price, cached prompt tokens cost the full price."""

    prompt_usd_per_mtok: float = Field(ge=0)
    completion_usd_per_mtok: float = Field(ge=0)
    cached_prompt_usd_per_mtok: float | None = Field(default=None, ge=0)

    def compute_cost_usd(self, prompt_tokens: float, completion_tokens: float, cached_tokens: float = 0) -> float:
        """The cost in USD; `cached_tokens` of the prompt tokens were cached."""
        cached = self.prompt_usd_per_mtok if self.cached_prompt_usd_per_mtok is None else self.cached_prompt_usd_per_mtok
        fresh = prompt_tokens - cached_tokens
        return (
            fresh * self.prompt_usd_per_mtok + cached_tokens * cached + completion_tokens * self.completion_usd_per_mtok
        ) / 1e6


class TutorSettings(Settings):
    """How good the simulated teacher is; each rate is a probability per request, independent of the others.

    Attributes:
        slip_rate: one wrong step that carries over into the answer (only a second opinion detects it).
        misstate_rate: the stated answer differs from the one the rationale arrives at.
        centre_bias: an invented problem is the median of eight random ones by solution length, not just any; a probe is
            the one of eight whose solution length is farthest from all those shown.
        follows_shown: under `centre_bias`, an invented problem is not the median but the one closest in solution length to
            one of those shown, since examples in a prompt attract a language model.
    """

    slip_rate: float = Field(default=0.0, ge=0, le=1)
    misstate_rate: float = Field(default=0.0, ge=0, le=1)
    centre_bias: float = Field(default=0.0, ge=0, le=1)
    follows_shown: bool = False
    seed: int = 0


class EmbeddedSettings(Settings):
    """How the ``embedded`` backend's llama.cpp server runs.

    Attributes:
        slots: requests processed at once; more slots use the processor better, and each needs memory for its context.
        context: tokens per slot, prompt and reply together.
        threads: processor threads; null leaves it to llama.cpp.
        port: the port on loopback; null picks a free one.
    """

    slots: int = Field(default=16, gt=0)
    context: int = Field(default=2048, gt=0)
    threads: int | None = Field(default=None, gt=0)
    port: int | None = Field(default=None, gt=0, le=65535)


class RecordedSettings(Settings):
    """What the ``recorded`` backend replays.

    Attributes:
        annotations: rows with the task's fields, ``rationale`` and ``teacher_answer``, found by their question; rows
            without a rationale are skipped.
        synthesized: rows with ``domain``, the task's fields, ``rationale`` and ``teacher_answer`` (or ``answer``),
            replayed per domain in file order, each once.
        columns: ``{our name: column in the files}``.
    """

    annotations: str | None = None
    synthesized: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)


class TeacherSettings(Settings):
    """Which teacher to ask, and how.

    Attributes:
        backend: how requests are sent. ``openai_compatible`` speaks the OpenAI chat protocol over HTTP; ``embedded``
            starts a llama.cpp server on this machine; ``recorded`` replays replies from files; ``tutor`` simulates a
            teacher for procedural domains; ``scripted`` answers from a JSONL file.
        model: the teacher's model name, part of every request; for ``embedded`` a ``.gguf`` file or a packaged model.
        base_url: address of the API, such as ``http://127.0.0.1:8000/v1``; ``/chat/completions`` is appended.
        api_key_env: the environment variable that contains the key. The key is never written anywhere.
        api_key_file: a file that contains the key, used instead of the variable; only its owner may have read access.
        max_concurrency: requests in flight at once.
        timeout_s: how long one attempt may take, in seconds.
        deadline_s: how long one request may take with all its attempts and waits, and how long the teacher may leave every
            request unanswered before the run ends, in seconds.
        max_attempts: how often one request is sent at most; only transient failures are retried.
        temperature, max_tokens: sampling settings, part of every request; a null temperature is not sent.
        max_tokens_field: name of the limit in a request; OpenAI's reasoning models expect ``max_completion_tokens``.
        extra_body: extra fields for every request, such as ``{reasoning_effort: low}``.
        json_schema: request synthesized examples as JSON by schema; if the server refuses schemas, they are left out.
        reasoning: what to do with a reasoning model's thoughts (``reasoning_content``, ``<think>``): ``drop`` them, or use
            them as the ``rationale`` of an annotation.
        tokenizer: a folder or ``tokenizer.json`` that `limbeck plan` counts prompts with, with the chat template next to it;
            without it, four bytes count as a token.
        prices: for `max_cost_usd` and the ledger's cost column.
        templates: files that replace the prompt templates (Jinja, sandboxed), such as ``{annotate: file}``: ``annotate``,
            ``synthesize`` (BalDistill), ``generate`` (GOLD), ``answer`` (the teacher's own accuracy, and votes on labels).
        seed_examples: how many real examples of the domain a synthesis prompt shows.
        path: the ``scripted`` backend's file of replies.
        shared_replies: a SQLite file of replies shared by several runs, each charged in full; `limbeck compare` sets it.
        embedded: the ``embedded`` backend's server.
        recorded: the ``recorded`` backend's files.
        tutor: the ``tutor`` backend's settings.
    """

    backend: Annotated[str, OneOf(BACKENDS)] = "tutor"
    model: str = "tutor"
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    api_key_file: Path | None = None
    max_concurrency: int = Field(default=64, gt=0)
    timeout_s: float = Field(default=180.0, gt=0)
    deadline_s: float = Field(default=900.0, gt=0)
    max_attempts: int = Field(default=6, gt=0)
    temperature: float | None = Field(default=0.7, ge=0)
    max_tokens: int = Field(default=512, gt=0)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = Field(default_factory=dict)
    json_schema: bool = False
    reasoning: Literal["drop", "rationale"] = "drop"
    tokenizer: Path | None = None
    prices: Prices | None = None
    templates: dict[Literal["annotate", "synthesize", "generate", "answer"], Path] = Field(default_factory=dict)
    seed_examples: int = Field(default=3, gt=0)
    path: Path | None = None
    shared_replies: Path | None = None
    embedded: EmbeddedSettings = EmbeddedSettings()
    recorded: RecordedSettings = RecordedSettings()
    tutor: TutorSettings = TutorSettings()

    @property
    def model_name(self) -> str:
        """What a request calls the model: never a path, which would differ from machine to machine."""
        return Path(self.model).stem if self.model.endswith(".gguf") else self.model.removeprefix("packaged:")

    @field_validator("api_key_env")
    @classmethod
    def _check_key_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("expected the name of an environment variable, such as OPENAI_API_KEY, not the key itself")
        return name

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, extra: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(
            {"model", "messages", "temperature", "max_tokens", "max_completion_tokens", "n", "best_of", "stream"} & set(extra)
        )
        if ours:
            raise ValueError(
                f"{', '.join(ours)} can't be set here: limbeck sends these fields itself or relies on their defaults"
            )
        return extra
