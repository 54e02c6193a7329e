"""Settings of the student and its training. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.settings import Settings
from limbeck.student.tables import KINDS, LOSSES
from limbeck.tables import OneOf


class StudentSettings(Settings):
    """The small model that is trained.

    Attributes:
        model: a Hub id, a folder, ``packaged:smollm2-135m-instruct`` or, for a classifier, ``packaged:minilm-l6``.
        kind: ``causal`` (a decoder-only language model), ``seq2seq`` (encoder and decoder, such as T5), or ``classifier``
            (a model with a head over the task's labels, which answers with a label and writes no text).
        dtype: dtype of the weights when scoring and generating; ``auto`` is bfloat16 on a CUDA GPU that supports it, else
            float32.
        system: system message of every prompt; null leaves it to the chat template.
        lists_labels: whether prompts list the task's labels. A trained student learns them anyway, and if there are many,
            prompts without them are much cheaper; an untouched student then doesn't know its choices. Teachers always see
            them.
    """

    model: str = "packaged:smollm2-135m-instruct"
    kind: Annotated[str, OneOf(KINDS)] = "causal"
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    system: str | None = None
    lists_labels: bool = True


class LoraSettings(Settings):
    """Low-rank adapters; `target_modules` is ``all-linear`` or a list of module names."""

    rank: int = Field(default=16, gt=0)
    alpha: int = Field(default=32, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class TrainingSettings(Settings):
    """How a student is fine-tuned.

    Attributes:
        epochs, learning_rate, batch_size, gradient_accumulation, weight_decay, max_grad_norm: as usual.
        max_length: maximum number of prompt and completion tokens together; longer examples are rejected as ``too_long``,
            never truncated.
        schedule: learning-rate schedule; ``linear`` and ``cosine`` follow a linear warm-up over `warmup_ratio` of the steps,
            ``constant`` has no warm-up.
        lora: adapter settings; null trains all weights.
        quantize: ``4bit`` is QLoRA (NF4, double quantisation; needs CUDA and bitsandbytes).
        precision: ``auto`` computes in bfloat16 if the device supports it (a CUDA GPU, or a CPU with AVX512_BF16 or AMX), with
            adapters and optimiser in float32; otherwise in float32.
        loss: loss over the completion's tokens: ``cross_entropy``, or ``symmetric_cross_entropy`` (`alpha`·CE + `beta`·RCE),
            which limits the influence of wrong labels but fits more slowly.
        alpha, beta: weights of the symmetric loss.
        rationale_weight: λ in L_answer + λ·L_rationale under ``method.objective: separate``; each loss is the mean over its own
            tokens of a step. 0 trains on answers alone.
    """

    epochs: float = Field(default=3, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=8, gt=0)
    gradient_accumulation: int = Field(default=1, gt=0)
    max_length: int = Field(default=1024, gt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    lora: LoraSettings | None = LoraSettings()
    quantize: Literal["none", "4bit"] = "none"
    gradient_checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    loss: Annotated[str, OneOf(LOSSES)] = "cross_entropy"
    alpha: float = Field(default=0.1, ge=0)
    beta: float = Field(default=1.0, ge=0)
    rationale_weight: float = Field(default=1.0, ge=0)
