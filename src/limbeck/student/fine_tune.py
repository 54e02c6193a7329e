"""Fine-tuning through TRL and PEFT, with the loss computed once and at labelled positions only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging
from trl import SFTConfig, SFTTrainer

from limbeck.errors import ConfigError
from limbeck.student.encode import IGNORED, Encoded
from limbeck.student.forward import find_labelled, project_only, silent
from limbeck.student.losses import LOSSES, LossFunction, sum_cross_entropy
from limbeck.student.model import Student, has_bfloat16, load_student
from limbeck.student.settings import LoraSettings, StudentSettings, TrainingSettings


class CompletionTrainer(SFTTrainer):
    """TRL's trainer with one change: `compute_loss` projects the vocabulary where a label is and nowhere else.

    TRL's own fused head recomputes the projection in the backward pass to save memory, which costs time on a CPU.
    """

    sum_loss: LossFunction = staticmethod(sum_cross_entropy)

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 (any wrapper of a PreTrainedModel)
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 (as the overridden method)
        """The summed loss over labelled tokens, divided by how many there are in the whole (accumulated) batch."""
        labels = inputs["labels"]
        with project_only(_unwrap(self.accelerator.unwrap_model(model)), find_labelled(labels)):
            outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        targets = labels[:, 1:][labels[:, 1:] != IGNORED]
        total = self.sum_loss(outputs.logits[0].float(), targets)
        count = len(targets) if num_items_in_batch is None else num_items_in_batch
        loss = total / count
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients; the count is of all processes
        return (loss, outputs) if return_outputs else loss


def _unwrap(model: Any) -> PreTrainedModel:  # noqa: ANN401 (a PeftModel or not)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


class _Progress(TrainerCallback):
    def __init__(self, on_step: Callable[[int, int], None]) -> None:
        self._on_step = on_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._on_step(state.global_step, state.max_steps)


def make_lora_config(settings: LoraSettings) -> LoraConfig:
    """PEFT's settings for a causal model."""
    targets = settings.target_modules
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias="none",
        task_type="CAUSAL_LM",
    )


def load_for_training(settings: StudentSettings, training: TrainingSettings) -> Student:
    """A fresh student as training wants it: 4-bit for QLoRA, else as `load_student` gives it.

    Raises:
        ConfigError: QLoRA without CUDA or bitsandbytes, or without adapters.
    """
    if training.quantize == "none":
        if training.lora is None and settings.dtype == "auto":
            # All weights are trained: the optimiser needs them in float32, whatever the arithmetic is done in.
            full = load_student(settings.model_copy(update={"dtype": "float32"}))
            return Student(full.model, full.tokenizer, settings)
        return load_student(settings)
    if training.lora is None:
        raise ConfigError("training.quantize: 4bit trains adapters only; set training.lora")
    if not torch.cuda.is_available():
        raise ConfigError("training.quantize: 4bit needs a CUDA device, and none is here; set training.quantize: none")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ConfigError("training.quantize: 4bit needs bitsandbytes: pip install 'limbeck[qlora]'") from error
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
    return load_student(settings, quantization=quantization)


def fine_tune(
    student: Student,
    rows: Sequence[Encoded],
    settings: TrainingSettings,
    *,
    seed: int,
    on_step: Callable[[int, int], None] = silent,
) -> Student:
    """Train a student on completions; returns it with its trained adapter (or its trained weights).

    Args:
        student: trained in place; load a fresh one for every stage.
        rows: the training set.
        settings: epochs, learning rate, adapters and so on.
        seed: of adapter initialisation, data order and dropout.
        on_step: told ``(step, steps in all)`` after each optimiser step.
    """
    on_cpu = student.device.type == "cpu"
    is_bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and has_bfloat16(student.device))
    steps = max(1, round(settings.epochs * len(rows) / (settings.batch_size * settings.gradient_accumulation)))
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    with tempfile.TemporaryDirectory(prefix="limbeck-") as scratch:
        arguments = SFTConfig(
            output_dir=scratch,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation,
            lr_scheduler_type=settings.schedule,
            warmup_steps=int(settings.warmup_ratio * steps),
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            optim="paged_adamw_32bit" if settings.quantize == "4bit" else "adamw_torch",
            train_sampling_strategy="group_by_length",
            gradient_checkpointing=settings.gradient_checkpointing,
            bf16=is_bfloat16,
            use_cpu=on_cpu,
            max_length=None,
            packing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            seed=seed % 2**32,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=not on_cpu,
        )
        data = Dataset.from_dict({"input_ids": [list(row.ids) for row in rows], "labels": [row.labels for row in rows]})
        trainer = CompletionTrainer(
            model=student.model,
            args=arguments,
            train_dataset=data,
            processing_class=student.tokenizer,
            peft_config=make_lora_config(settings.lora) if settings.lora else None,
            callbacks=[_Progress(on_step)],
        )
        trainer.remove_callback(PrinterCallback)  # prints to stdout, where --json writes
        trainer.sum_loss = LOSSES[settings.loss](settings)
        trainer.train()
        transformers_logging.set_verbosity(verbosity)
    model = trainer.accelerator.unwrap_model(trainer.model)
    return Student(model.eval(), student.tokenizer, student.settings)
