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
    """What the teacher charges, in USD per million tokens; a null price of cached prompt tokens is that of all others."""

    prompt_usd_per_mtok: float = Field(ge=0)
    completion_usd_per_mtok: float = Field(ge=0)
    cached_prompt_usd_per_mtok: float | None = Field(default=None, ge=0)

    def compute_cost_usd(self, prompt_tokens: float, completion_tokens: float, cached_tokens: float = 0) -> float:
        """The price of so many tokens, of whose prompt so many were cached."""
        cached = self.prompt_usd_per_mtok if self.cached_prompt_usd_per_mtok is None else self.cached_prompt_usd_per_mtok
        fresh = prompt_tokens - cached_tokens
        return (
            fresh * self.prompt_usd_per_mtok + cached_tokens * cached + completion_tokens * self.completion_usd_per_mtok
        ) / 1e6


class TutorSettings(Settings):
    """How good the simulated teacher is; each rate is a probability per request, independent of the others.

    Attributes:
        slip_rate: one wrong step that is carried into the answer (only a second opinion sees it).
        misstate_rate: the stated answer differs from the one the rationale ends in.
        centre_bias: an invented problem is the middle one of eight by length of its solution, not just any; a probe is the
            one of eight that is least like what is shown.
        follows_shown: under `centre_bias`, an invented problem is like one of those shown in place of the middle one, as
            prompts with examples draw a language model on.
    """

    slip_rate: float = Field(default=0.0, ge=0, le=1)
    misstate_rate: float = Field(default=0.0, ge=0, le=1)
    centre_bias: float = Field(default=0.0, ge=0, le=1)
    follows_shown: bool = False
    seed: int = 0


class EmbeddedSettings(Settings):
    """How the ``embedded`` backend's llama.cpp server runs.

    Attributes:
        slots: requests that are worked on at once; more share the processor better, and each needs memory for its context.
        context: tokens of prompt and reply together that a slot holds.
        threads: processor threads; null leaves it to llama.cpp.
        port: on loopback; null takes any that is free.
    """

    slots: int = Field(default=16, gt=0)
    context: int = Field(default=2048, gt=0)
    threads: int | None = Field(default=None, gt=0)
    port: int | None = Field(default=None, gt=0, le=65535)


class RecordedSettings(Settings):
    """What the ``recorded`` backend replays.

    Attributes:
        annotations: rows with the task's fields, ``rationale`` and ``teacher_answer``, found by their question; those
            without a rationale are passed over.
        synthesized: rows with ``domain``, the task's fields, ``rationale`` and ``teacher_answer`` (or ``answer``), given
            by domain in the order of the file, each once.
        columns: ``{our name: column in the files}``.
    """

    annotations: str | None = None
    synthesized: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)


class TeacherSettings(Settings):
    """Which teacher, and how it is asked.

    Attributes:
        backend: how requests are sent. ``openai_compatible`` speaks the OpenAI chat protocol over HTTP; ``embedded``
            starts a llama.cpp server on this machine; ``recorded`` replays replies from files; ``tutor`` simulates a
            teacher for procedural domains; ``scripted`` answers from a JSONL file.
        model: the teacher's model name, part of every request; for ``embedded`` a ``.gguf`` file or a packaged model.
        base_url: where the API is, such as ``http://127.0.0.1:8000/v1``; the endpoint ``/chat/completions`` is added.
        api_key_env: the environment variable that holds the key. A key is never written anywhere.
        api_key_file: a file that holds the key in place of the variable; only its owner may be able to read it.
        max_concurrency: requests in flight at once.
        timeout_s: how long one attempt may take, in seconds.
        deadline_s: how long one request may take with all its attempts and waits, and how long a teacher may answer nobody
            before the run ends, in seconds.
        max_attempts: how often one request is sent at most; only failures that may pass are sent again.
        temperature, max_tokens: sampling, part of every request; a null temperature is not sent.
        max_tokens_field: what the limit is called in a request; OpenAI's reasoning models want ``max_completion_tokens``.
        extra_body: further fields of every request, such as ``{reasoning_effort: low}``.
        json_schema: ask for synthesized examples as JSON by schema; a server that refuses it is asked without.
        reasoning: what becomes of a reasoning model's thoughts (``reasoning_content``, ``<think>``): ``drop`` them, or
            take them as the ``rationale`` of an annotation.
        tokenizer: a folder or ``tokenizer.json`` by which `limbeck plan` counts prompts, with the chat template beside it; an
            embedded GGUF file's own is used by itself.
        prices: for `max_cost_usd` and the ledger's money column.
        templates: ``{annotate: file}`` and the like to replace the prompts (Jinja, sandboxed): ``annotate``, ``synthesize``
            (BalDistill), ``generate`` (GOLD), ``answer`` (its own accuracy, and votes on labels).
        seed_examples: how many real examples of the domain a synthesis prompt shows.
        path: the ``scripted`` backend's replies.
        shared_replies: a SQLite file of replies that several runs share, each charged in full; `limbeck compare` sets it.
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
            raise ValueError("is the name of an environment variable, such as OPENAI_API_KEY, and never the key itself")
        return name

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, extra: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(
            {"model", "messages", "temperature", "max_tokens", "max_completion_tokens", "n", "best_of", "stream"} & set(extra)
        )
        if ours:
            raise ValueError(f"{', '.join(ours)} can't be set here: limbeck sends it itself, or relies on its default")
        return extra
