"""On a CUDA GPU: the comparisons of `training.py` and `generation.py`, and QLoRA with a student of 8 billion parameters.

The 8B student has the shape of Llama 3 8B and random weights, so nothing is downloaded; speed and memory don't depend on the
values.

    python benchmarks/gpu.py               # everything
    python benchmarks/gpu.py qlora         # one part: qlora, training or generation
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generation
import torch
import training
import transformers
from record import write_result
from transformers import AutoModelForCausalLM, LlamaConfig

from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.model import load_tokenizer, quiet_libraries
from limbeck.student.settings import StudentSettings, TrainingSettings

LLAMA_3_8B = LlamaConfig(
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
    rope_theta=500_000.0,
)
ROWS = 64
QUESTIONS_PER_ROW = 12


def measure_qlora() -> dict[str, Any]:
    """Train an 8B student in 4 bits on long rows; return its speed and its highest memory on the GPU."""
    tokenizer = load_tokenizer(StudentSettings())
    with tempfile.TemporaryDirectory(prefix="limbeck-") as scratch:
        folder = Path(scratch) / "llama-8b"
        start = time.perf_counter()
        with torch.device("cuda"):
            model = AutoModelForCausalLM.from_config(LLAMA_3_8B, dtype=torch.bfloat16)
        parameters = sum(weights.numel() for weights in model.parameters())
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
        made = time.perf_counter()
        settings = TrainingSettings(epochs=1, batch_size=8, quantize="4bit", gradient_checkpointing=True, learning_rate=1e-4)
        student = load_for_training(StudentSettings(model=str(folder)), settings)
        loaded = time.perf_counter()
        rows = training.make_rows(student.tokenizer, ROWS, QUESTIONS_PER_ROW)
        torch.cuda.reset_peak_memory_stats()
        fine_tune(student, rows, settings, seed=1)
        torch.cuda.synchronize()
        trained = time.perf_counter()
    tokens = sum(len(row.ids) for row in rows)
    return {
        "what": "one epoch of QLoRA with gradient checkpointing, in batches of 8",
        "parameters": parameters,
        "rows": len(rows),
        "longest_row_tokens": max(len(row.ids) for row in rows),
        "tokens": tokens,
        "make_s": made - start,
        "load_s": loaded - made,
        "train_s": trained - loaded,
        "tokens_per_s": tokens / (trained - loaded),
        "highest_memory_gib": torch.cuda.max_memory_allocated() / 2**30,
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "qlora": measure_qlora,
    "training": training.measure,
    "generation": generation.measure,
}


def main() -> None:
    """Measure the parts that are named, or all, and write each to ``benchmarks/results/gpu_PART.json``."""
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA GPU, but torch finds none")
    for name in sys.argv[1:] or PARTS:
        versions = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "transformers": transformers.__version__}
        write_result(f"gpu_{name}", {**PARTS[name](), **versions})


if __name__ == "__main__":
    with quiet_libraries():
        main()
