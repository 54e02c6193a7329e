"""Fine-tuning with TRL (causal students), the transformers Trainer (other kinds) and PEFT, all with the same loss.

The loss is computed once, and only at labelled positions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging
from trl import SFTConfig

from limbeck.errors import ConfigError
from limbeck.progress import silent
from limbeck.student.encode import Encoded
from limbeck.student.forward import unwrap
from limbeck.student.model import Student, choose_device, has_bfloat16, load_student
from limbeck.student.settings import LoraSettings, StudentSettings, TrainingSettings
from limbeck.student.tables import KINDS, LOSSES
from limbeck.student.trainers import CompletionTrainer, SumLossTrainer


class _BestEpoch(TrainerCallback):
    """Keeps the weights of the best judged epoch, and stops training after `patience` epochs in a row without improvement."""

    def __init__(self, student: Student, judge: Callable[[Student], float], patience: int | None) -> None:
        self._student, self._judge, self._patience = student, judge, patience
        self._best: tuple[float, dict[str, torch.Tensor]] | None = None
        self._worse_count = 0

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,  # noqa: ANN401 (any wrapper of a PreTrainedModel)
        **kwargs: object,
    ) -> TrainerControl:
        model.eval()
        value = self._judge(Student(unwrap(model), self._student.tokenizer, self._student.settings))
        model.train()
        if self._best is None or value > self._best[0]:
            self._best = value, {name: w.detach().clone() for name, w in model.named_parameters() if w.requires_grad}
            self._worse_count = 0
        else:
            self._worse_count += 1
            control.should_training_stop = self._patience is not None and self._worse_count >= self._patience
        return control

    def restore(self, model: Any) -> None:  # noqa: ANN401 (any wrapper of a PreTrainedModel)
        """Restore the weights of the best epoch."""
        if self._best is not None:
            with torch.no_grad():
                for name, weights in model.named_parameters():
                    if name in self._best[1]:
                        weights.copy_(self._best[1][name])


class _Progress(TrainerCallback):
    def __init__(self, on_step: Callable[[int, int], None]) -> None:
        self._on_step = on_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._on_step(state.global_step, state.max_steps)


WRITTEN_OUT_MAX_TOKENS = 512
WRITTEN_OUT_MAX_BYTES = 4 * 2**30


def make_lora_config(settings: LoraSettings, kind: str = "causal") -> LoraConfig:
    """Make the PEFT configuration for a kind of student; a classifier's head is always fully trained."""
    targets = settings.target_modules
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias="none",
        task_type=KINDS[kind].parts.lora_task,
    )


def load_for_training(
    settings: StudentSettings, training: TrainingSettings, *, labels: Sequence[str] = (), seed: int = 0
) -> Student:
    """Load a fresh student for training: in 4 bits for QLoRA, otherwise as `load_student` does.

    Args:
        settings: which student.
        training: whether all weights are trained, and how they are stored.
        labels, seed: see `load_student`.

    Raises:
        ConfigError: QLoRA without CUDA or bitsandbytes, or without adapters.
    """
    if training.quantize == "none":
        if training.lora is None and settings.dtype == "auto":
            # With full fine-tuning the optimiser needs float32 weights, whatever the compute precision.
            full = load_student(settings.model_copy(update={"dtype": "float32"}), labels=labels, seed=seed)
            return Student(full.model, full.tokenizer, settings)
        return load_student(settings, labels=labels, seed=seed)
    if training.lora is None:
        raise ConfigError("training.quantize: 4bit trains adapters only; set training.lora")
    if choose_device().type != "cuda":
        raise ConfigError("training.quantize: 4bit needs a CUDA device, but none was found; set training.quantize: none")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ConfigError("training.quantize: 4bit needs bitsandbytes: pip install -e '.[qlora]'") from error
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return load_student(settings, labels=labels, seed=seed, quantization=quantization)


def fine_tune(
    student: Student,
    rows: Sequence[Encoded],
    settings: TrainingSettings,
    *,
    seed: int,
    on_step: Callable[[int, int], None] = silent,
    judge: Callable[[Student], float] | None = None,
    patience: int | None = None,
) -> Student:
    """Train a student on completions; return it with its trained adapter (or its trained weights).

    Args:
        student: trained in place; load a fresh one for every stage.
        rows: the training set, one row per example; a batch has ``batch_size`` rows, plus their separate rationales.
        settings: epochs, learning rate, adapters and so on.
        seed: seeds adapter initialisation, data order and dropout.
        on_step: called with ``(step, total steps)`` after each optimiser step.
        judge: rates the student after every epoch, higher = better; the weights of the best epoch are kept (the first, if
            several are equal). None keeps the last epoch.
        patience: stop after this many consecutive epochs without improvement; None never stops early.
    """
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    best = None if judge is None else _BestEpoch(student, judge, patience)
    if settings.rationale_weight == 0:
        rows = [replace(row, rationale=None) for row in rows]
    with tempfile.TemporaryDirectory(prefix="limbeck-") as scratch:
        make = _make_causal_trainer if KINDS[student.settings.kind].is_causal else _make_trainer
        data = _make_data(student, rows)
        trainer = make(student, data, settings, _choose_arguments(student, len(rows), settings, seed, scratch))
        trainer.data_collator = _make_collate(student, rows)
        trainer.add_callback(_Progress(on_step))
        if best is not None:
            trainer.add_callback(best)
        trainer.remove_callback(PrinterCallback)  # prints to stdout, where --json writes
        trainer.kind = student.settings.kind
        trainer.sum_loss = LOSSES[settings.loss](settings)
        trainer.rationale_weight = settings.rationale_weight
        with _attend(student, data["length"], settings.batch_size):
            trainer.train()
        transformers_logging.set_verbosity(verbosity)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if best is not None:
        best.restore(model)
    return Student(model.eval(), student.tokenizer, student.settings)


@contextmanager
def _attend(student: Student, lengths: Sequence[int], batch_size: int) -> Iterator[None]:
    """Within this context, use eager instead of fused attention if that trains faster: for short rows on a CPU.

    Both compute the same. torch's fused CPU kernel is slow in the backward pass: with eager attention, a LoRA step of a 135M
    student is 2.1 times as fast at 75 tokens per row, 1.1 times at 512 and 0.6 times at 1,024 (one thread, bfloat16, batches
    of about 1,200 to 2,000 tokens). `benchmarks/training.py` measures the ratio for two threads and small batches.
    """
    model = unwrap(student.model)
    config = model.config.get_text_config()
    fused = config._attn_implementation
    longest = max(lengths)
    # Bytes kept for the backward pass: each head's attention scores, twice in bfloat16 and once in float32.
    kept = 8 * batch_size * longest**2 * config.num_attention_heads * config.num_hidden_layers
    is_fused_slow = KINDS[student.settings.kind].is_causal and student.device.type == "cpu" and fused == "sdpa"
    if is_fused_slow and longest <= WRITTEN_OUT_MAX_TOKENS and kept <= WRITTEN_OUT_MAX_BYTES:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if config._attn_implementation != fused:
            model.set_attn_implementation(fused)


def _choose_arguments(student: Student, count: int, settings: TrainingSettings, seed: int, scratch: str) -> dict[str, Any]:
    """Build the arguments that both trainers understand."""
    on_cpu = student.device.type == "cpu"
    is_bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and has_bfloat16(student.device))
    steps = max(1, round(settings.epochs * count / (settings.batch_size * settings.gradient_accumulation)))
    return {
        "output_dir": scratch,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": int(settings.warmup_ratio * steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "optim": "paged_adamw_32bit" if settings.quantize == "4bit" else "adamw_torch",
        "train_sampling_strategy": "group_by_length",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": is_bfloat16,
        "use_cpu": on_cpu,
        "seed": seed % 2**32,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
        "remove_unused_columns": False,
    }


def _make_data(student: Student, rows: Sequence[Encoded]) -> Dataset:
    """Make a data set of row indices with the lengths that batches are grouped by."""
    longest = [row.rationale or row for row in rows]
    is_causal = KINDS[student.settings.kind].is_causal
    lengths = [len(row.ids) if is_causal else row.prompt_length for row in longest]
    return Dataset.from_dict({"place": list(range(len(rows))), "length": lengths})


def _make_collate(student: Student, rows: Sequence[Encoded]) -> Callable[[Sequence[dict[str, int]]], dict[str, Any]]:
    """Make the collator: it turns row indices into a batch, plus a batch of their separate rationales, padded separately."""
    collate_kind, pad = KINDS[student.settings.kind].parts.collate, student.tokenizer.pad_token_id or 0

    def collate(places: Sequence[dict[str, int]]) -> dict[str, Any]:
        chosen = [rows[one["place"]] for one in places]
        apart = [row.rationale for row in chosen if row.rationale is not None]
        return {**collate_kind(chosen, pad), **({"rationale": collate_kind(apart, pad)} if apart else {})}

    return collate


def _make_causal_trainer(
    student: Student, data: Dataset, settings: TrainingSettings, arguments: dict[str, Any]
) -> CompletionTrainer:
    return CompletionTrainer(
        model=student.model,
        args=SFTConfig(**arguments, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=data,
        processing_class=student.tokenizer,
        peft_config=make_lora_config(settings.lora) if settings.lora else None,
    )


def _make_trainer(student: Student, data: Dataset, settings: TrainingSettings, arguments: dict[str, Any]) -> SumLossTrainer:
    kind = student.settings.kind
    model = student.model
    if settings.lora is not None:
        torch.manual_seed(arguments["seed"])  # for the adapter's weights; the trainer seeds everything later
        model = get_peft_model(model, make_lora_config(settings.lora, kind))
    trainer = SumLossTrainer(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=data,
        processing_class=student.tokenizer,
    )
    # Request the label count of a whole step, since the summed loss is divided by it; labels are not shifted here.
    trainer.model_accepts_loss_kwargs, trainer._loss_shifts_labels = True, False
    return trainer
