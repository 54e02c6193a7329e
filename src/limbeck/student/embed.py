"""Embeds texts with a sentence encoder, and examples with the student itself, to tell how similar two candidates are.

Both use the masked mean of the last hidden states, scaled to unit length, so the dot product of two vectors is their cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer

from limbeck.data.example import Example
from limbeck.packaged import PREFIX, find_packaged
from limbeck.student.encode import Encoder
from limbeck.student.forward import pad_right, to_scores_dtype, unwrap
from limbeck.student.model import Student, choose_device, explain_loading
from limbeck.student.plain_text import PlainText
from limbeck.student.tables import KINDS

MINILM = "minilm-l6"
MINILM_WIDTH = 384
MINILM_MAX_TOKENS = 256
"""Longer texts are truncated to this many word pieces, the limit that the encoder was published with."""


def embed_texts(texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
    """Embed texts with MiniLM-L6: shape (texts, 384), float32, unit length; a higher dot product = more similar in meaning.

    The vector is the masked mean of the last hidden states over all tokens, including the special tokens at both ends, as
    the encoder was trained. Apart from rounding, it doesn't depend on the other texts of the batch. Each call loads the
    encoder: pass all texts at once, or use `load_minilm`.

    Raises:
        ConfigError: the encoder's wheel is not installed; the message gives the install command.
    """
    return load_minilm(batch_size=batch_size)(texts)


def load_minilm(*, batch_size: int = 64) -> Callable[[Sequence[str]], np.ndarray]:
    """Return an `embed_texts` whose encoder stays loaded, for repeated calls.

    Raises:
        ConfigError: see `embed_texts`.
    """
    folder, device = find_packaged(MINILM), choose_device()
    with explain_loading(PREFIX + MINILM):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).to(device).eval()
    plain = PlainText(tokenizer)

    def embed(texts: Sequence[str]) -> np.ndarray:
        rows = [plain.encode_framed(text, MINILM_MAX_TOKENS) for text in texts]
        return _embed_rows(model, rows, tokenizer.pad_token_id, device, batch_size, MINILM_WIDTH)

    return embed


def embed_examples(student: Student, examples: Sequence[Example], encoder: Encoder, *, batch_size: int) -> np.ndarray:
    """Embed examples with the student: shape (examples, hidden size), float32, unit length; higher dot product = more similar.

    The vector is the masked mean of the student's last hidden states (those of its encoder, if it has one) over the ids of
    the training prompt. The means share a large common component, so all cosines are high: only their order is meaningful.
    """
    model = unwrap(student.model)
    body = KINDS[student.settings.kind].parts.find_body(model)
    rows = [encoder.encode_prompt(example.question, example.answer_type) for example in examples]
    width = int(model.config.hidden_size)
    return _embed_rows(body, rows, student.tokenizer.pad_token_id or 0, student.device, batch_size, width)


@torch.inference_mode()
def _embed_rows(
    body: nn.Module, rows: Sequence[Sequence[int]], pad: int, device: torch.device, batch_size: int, width: int
) -> np.ndarray:
    """Return the unit vectors of rows of ids, in the order given. Batches go by length, longest first, to limit padding."""
    vectors = np.empty((len(rows), width), dtype=np.float32)
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        ids = pad_right([rows[index] for index in chosen], pad).to(device)
        mask = pad_right([[1] * len(rows[index]) for index in chosen], 0).to(device)
        hidden = to_scores_dtype(body(input_ids=ids, attention_mask=mask).last_hidden_state)
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        means = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        vectors[chosen] = nn.functional.normalize(means, dim=1).float().cpu().numpy()
    return vectors
