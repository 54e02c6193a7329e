"""Students by name: a Hub id, a folder, or the packaged SmolLM2; saved as adapters or whole, always as safetensors."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    dynamic_module_utils,
)
from transformers.utils import logging as transformers_logging

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.packaged import find_packaged
from limbeck.student.settings import StudentSettings
from limbeck.student.tables import KINDS
from limbeck.system.files import lock, write_folder

# A model that brings Python code of its own is refused; otherwise transformers asks in a terminal whether to run it.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
CARD = "student.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_NO_LIMIT = 10**6  # transformers' word for "unknown" is a very large number
SPARE_PLACES = 2  # some encoders begin to count positions after the padding id


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within this context the training libraries show no progress bars and no deprecation warnings."""
    verbosity, has_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if has_bars:
            transformers_logging.enable_progress_bar()


@dataclass
class Student:
    """A small model with its tokenizer, ready to score, generate or train.

    Attributes:
        model: in evaluation mode, on its device.
        tokenizer: pads with a token of its own or the end token; mask by attention mask, never by id.
        settings: what it was loaded by.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: StudentSettings

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def is_exact(self) -> bool:
        """Whether cached decoding gives the likelihoods of a full pass (float32 and float64, not half precision)."""
        return self.model.dtype in (torch.float32, torch.float64)


def find_cache() -> Path:
    """The folder for weights made once: ``$LIMBECK_CACHE``, or ``limbeck`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "limbeck"
    return Path(os.environ.get("LIMBECK_CACHE", default))


def resolve_model(name: str) -> str:
    """The folder or Hub id that `from_pretrained` takes; a packaged GGUF model is de-quantised into the cache once.

    Raises:
        ConfigError: an unknown or uninstalled packaged model.
    """
    if not name.startswith("packaged:"):
        return name
    gguf = find_packaged(name.removeprefix("packaged:"))
    if gguf.is_dir():
        return str(gguf)
    folder = find_cache() / f"{gguf.stem}-{gguf.stat().st_size}"
    with lock(folder.with_suffix(".lock")):
        if not folder.exists():
            write_folder(folder, lambda temporary: _dequantize(gguf, temporary))
    return str(folder)


def _dequantize(gguf: Path, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are plain float32 now, but the model still calls itself quantized and would refuse to be saved.
    model.hf_quantizer = None
    model.config.quantization_config = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def choose_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
    return False


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of a setting; ``auto`` is bfloat16 on a GPU that has it, else float32."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}[name]


def load_tokenizer(settings: StudentSettings, folder: Path | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of the settings' model, or the one saved in `folder`; it always has a padding token.

    Raises:
        ConfigError: as `load_student`.
    """
    source = str(folder) if folder else resolve_model(settings.model)
    with explain_loading(source):
        tokenizer = AutoTokenizer.from_pretrained(source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not KINDS[settings.kind].writes_text and tokenizer.model_max_length > _NO_LIMIT:
        with explain_loading(source):
            places = getattr(AutoConfig.from_pretrained(source), "max_position_embeddings", None)
        if places is not None:
            tokenizer.model_max_length = places - SPARE_PLACES
    return tokenizer


@contextmanager
def explain_loading(source: str) -> Iterator[None]:
    """Say in one line what is wrong with a model's files; the libraries raise whatever their parsers do, some `Exception`."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"student {source!r} can't be loaded: {_first_line(error):.500}") from error


def _check_adapter(folder: Path) -> None:
    """Refuse an adapter whose weights are no safetensors: PEFT would take a pickled file in their place."""
    if (folder / "adapter_config.json").exists() and not (folder / ADAPTER_WEIGHTS).exists():
        raise ConfigError(
            f"student {str(folder)!r} can't be loaded: its adapter has no {ADAPTER_WEIGHTS}, and pickled weights are not read"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_student(
    settings: StudentSettings,
    folder: Path | None = None,
    *,
    labels: Sequence[str] = (),
    seed: int = 0,
    quantization: Any = None,  # noqa: ANN401 (a BitsAndBytesConfig)
) -> Student:
    """The untouched student of the settings, or the one saved in `folder` (an adapter is merged into its base).

    Args:
        settings: name, kind and dtype.
        folder: where a trained student is.
        labels: of the task; the classes of a classifier.
        seed: of the weights that an untouched classifier's head begins with.
        quantization: for QLoRA.

    Raises:
        ConfigError: the model can't be found or read, or a classifier has no labels; the message names it.
    """
    device = choose_device()
    is_adapter = folder is not None and (folder / "adapter_config.json").exists()
    source = resolve_model(settings.model) if folder is None or is_adapter else str(folder)
    tokenizer = load_tokenizer(settings, folder)
    if is_adapter and folder is not None and not labels and (card := read_card(folder)) is not None:
        labels = tuple(card[1].labels)
    head = _describe_head(settings, labels, tokenizer) if folder is None or is_adapter else {}
    for place in {Path(source), folder or Path(source)}:
        _check_adapter(place)
    with explain_loading(source), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KINDS[settings.kind].parts.model_class.from_pretrained(
            source,
            dtype=choose_dtype(settings.dtype, device),
            use_safetensors=True,
            quantization_config=quantization,
            **head,
        )
    if is_adapter:
        from peft import PeftModel

        with explain_loading(str(folder)):
            model = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    if quantization is None:
        model = model.to(device)
    return Student(model.eval(), tokenizer, settings)


def _describe_head(settings: StudentSettings, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    if KINDS[settings.kind].writes_text:
        return {}
    if len(labels) < 2:
        raise ConfigError(
            f"student.kind: classifier needs a task with at least two labels, {len(labels)} found; set task.answer: label and "
            "task.labels, or take another kind of student"
        )
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
        "pad_token_id": tokenizer.pad_token_id,
    }


def save_student(student: Student, folder: Path, task: Task, *, has_rationale: bool) -> None:
    """Write weights (the adapter alone where there is one), tokenizer and card; the folder appears whole or not at all.

    The card (``student.json``) holds what `limbeck eval` and `predict` need: the base model's name, never its path.
    """
    card = {
        "student": student.settings.model_dump(mode="json"),
        "task": task.model_dump(mode="json"),
        "has_rationale": has_rationale,
    }

    def write(temporary: Path) -> None:
        student.model.save_pretrained(temporary)
        student.tokenizer.save_pretrained(temporary)
        adapter = temporary / "adapter_config.json"
        if adapter.exists():
            # PEFT notes the base by its path on this machine; a moved folder must not depend on it.
            config = json.loads(adapter.read_text("utf-8"))
            config["base_model_name_or_path"] = student.settings.model
            adapter.write_text(json.dumps(config, indent=2), "utf-8")
        (temporary / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False), "utf-8")

    write_folder(folder, write)


def read_card(folder: Path) -> tuple[StudentSettings, Task, bool] | None:
    """``(student settings, task, has_rationale)`` of a folder that `save_student` wrote, or None without a card.

    Raises:
        ConfigError: the card is broken.
    """
    path = folder / CARD
    if not path.exists():
        return None
    try:
        card = json.loads(path.read_text("utf-8"))
        return StudentSettings(**card["student"]), Task(**card["task"]), bool(card["has_rationale"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no card of a student: {_first_line(error)}") from error
