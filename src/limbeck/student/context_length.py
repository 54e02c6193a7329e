"""Context length of students with learned position embeddings (GPT-2, OPT), which can't read beyond their table."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from limbeck.errors import ConfigError
from limbeck.student.model import SPARE_PLACES, Student, explain_loading, resolve_model
from limbeck.student.settings import StudentSettings
from limbeck.student.tables import KINDS


def read_context_length(student: Student) -> int | None:
    """Return the most tokens that a causal student with learned positions can read; None if there is no such limit."""
    return _count_places(student.model) if KINDS[student.settings.kind].is_causal else None


def check_context_length(settings: StudentSettings, max_length: int) -> None:
    """Refuse rows that are too long for a causal student with learned positions, before any money is spent.

    The model is built without its weights to read the size of its position table.

    Args:
        settings: which student.
        max_length: tokens of the longest training row.

    Raises:
        ConfigError: `max_length` exceeds the student's positions, or the student can't be loaded.
    """
    if not KINDS[settings.kind].is_causal:
        return
    source = resolve_model(settings.model)
    with explain_loading(source), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
    places = _count_places(model)
    if places is not None and max_length > places:
        raise ConfigError(
            f"training.max_length = {max_length} exceeds the {places} positions of student {settings.model!r}; set it to "
            f"{places} or less"
        )


def _count_places(model: PreTrainedModel) -> int | None:
    """Return the size of the position table, if there is one: a second embedding with as many rows as positions."""
    places = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    words = model.get_input_embeddings()
    tables = [part.num_embeddings for part in model.modules() if isinstance(part, torch.nn.Embedding) and part is not words]
    return places if places is not None and any(places <= rows <= places + SPARE_PLACES for rows in tables) else None
