"""The kinds of students: how each is loaded, fed, and asked for answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from limbeck.student.encode import ClassifierEncoder, Encoded, Encoder, Seq2SeqEncoder
from limbeck.student.forward import (
    Batch,
    collate_apart,
    collate_causal,
    forward_causal,
    forward_classifier,
    forward_seq2seq,
)
from limbeck.student.generate import WriteBatch, classify_batch, generate_causal_batch, generate_seq2seq_batch


@dataclass(frozen=True)
class KindParts:
    """The parts of one kind of student.

    Attributes:
        model_class: the transformers class that loads it.
        encoder: turns examples into ids.
        collate: ``(rows, padding id) -> batch``.
        forward: ``(model, batch) -> (logits, targets)``, one row of logits per completion id, in order.
        write: answers a batch of prompts.
        find_body: returns the part of a model whose last hidden states embed a prompt.
        lora_task: PEFT's name for its task.
    """

    model_class: Any
    encoder: type[Encoder]
    collate: Callable[[Sequence[Encoded], int], dict[str, torch.Tensor]]
    forward: Callable[[Any, Batch], tuple[torch.Tensor, torch.Tensor]]
    write: WriteBatch
    find_body: Callable[[PreTrainedModel], nn.Module]
    lora_task: str


CAUSAL = KindParts(
    AutoModelForCausalLM,
    Encoder,
    collate_causal,
    forward_causal,
    generate_causal_batch,
    lambda model: model.base_model,
    "CAUSAL_LM",
)
SEQ2SEQ = KindParts(
    AutoModelForSeq2SeqLM,
    Seq2SeqEncoder,
    collate_apart,
    forward_seq2seq,
    generate_seq2seq_batch,
    lambda model: model.get_encoder(),
    "SEQ_2_SEQ_LM",
)
CLASSIFIER = KindParts(
    AutoModelForSequenceClassification,
    ClassifierEncoder,
    collate_apart,
    forward_classifier,
    classify_batch,
    lambda model: model.base_model,
    "SEQ_CLS",
)
