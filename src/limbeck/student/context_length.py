"""Students with learned positions (GPT-2, OPT): they have so many places and can't read further."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from limbeck.errors import ConfigError
from limbeck.student.model import SPARE_PLACES, Student, explain_loading, resolve_model
from limbeck.student.settings import StudentSettings
from limbeck.student.tables import KINDS


def read_context_length(student: Student) -> int | None:
    """Tokens that a causal student with learned positions can read at most; None where positions have no such end."""
    return _count_places(student.model) if KINDS[student.settings.kind].is_causal else None


def check_context_length(settings: StudentSettings, max_length: int) -> None:
    """Refuse rows that a causal student with learned positions can't read, before anything is paid.

    It is built without its weights, and counted.

    Args:
        settings: which student.
        max_length: tokens of the longest row that is trained on.

    Raises:
        ConfigError: `max_length` is above the student's places; or as `load_student`.
    """
    if not KINDS[settings.kind].is_causal:
        return
    source = resolve_model(settings.model)
    with explain_loading(source), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
    places = _count_places(model)
    if places is not None and max_length > places:
        raise ConfigError(
            f"training.max_length = {max_length} is above the {places} places of student {settings.model!r}; set it to "
            f"{places} or less"
        )


def _count_places(model: PreTrainedModel) -> int | None:
    """The rows of a table of positions, if there is one: an embedding beside that of the words, as long as positions go."""
    places = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    words = model.get_input_embeddings()
    tables = [part.num_embeddings for part in model.modules() if isinstance(part, torch.nn.Embedding) and part is not words]
    return places if places is not None and any(places <= rows <= places + SPARE_PLACES for rows in tables) else None
