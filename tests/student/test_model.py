"""Loading students by name."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging

from limbeck.errors import ConfigError
from limbeck.student.model import choose_device, load_student, quiet_libraries, resolve_model
from limbeck.student.settings import StudentSettings
from limbeck.system.files import write_folder


def test_unknown_packaged_model_names_the_known_ones() -> None:
    """An unknown packaged name is a config error that lists the known ones."""
    with pytest.raises(ConfigError, match="packaged:smollm2-135m-instruct"):
        resolve_model("packaged:smollm3")


def test_the_device_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LIMBECK_DEVICE` names the device; a name that torch does not find is a config error that lists the others."""
    monkeypatch.setenv("LIMBECK_DEVICE", "cpu")
    assert choose_device().type == "cpu"
    monkeypatch.setenv("LIMBECK_DEVICE", "tpu")
    with pytest.raises(ConfigError, match=r"LIMBECK_DEVICE='tpu' can't be used; torch finds here: .*cpu"):
        choose_device()


def test_missing_model_is_one_line(tmp_path: Path) -> None:
    """A missing model folder is a one-line config error that names it."""
    with pytest.raises(ConfigError, match="can't be loaded") as caught:
        load_student(StudentSettings(model=str(tmp_path / "nothing")))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "nothing") in str(caught.value)


def test_folders_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    """If writing a folder fails, the old one stays in place and nothing half-written is left next to it."""

    def write_well(folder: Path) -> None:
        (folder / "weights").write_text("good")

    def write_badly(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise RuntimeError("power cut")

    write_folder(tmp_path / "student", write_well)
    with pytest.raises(RuntimeError, match="power cut"):
        write_folder(tmp_path / "student", write_badly)
    assert (tmp_path / "student" / "weights").read_text() == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["student"]


def test_converting_a_model_is_silent_if_libraries_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The bar that transformers draws while it converts a GGUF file obeys `quiet_libraries`."""

    class Drawing:
        """Draws the bar instead of converting."""

        def from_pretrained(self, *args: object, **facts: object) -> NoReturn:
            for _ in modeling_gguf_pytorch_utils.tqdm([1, 2], desc="Converting"):
                pass
            raise RuntimeError("converted")

    for name in ("AutoTokenizer", "AutoModelForCausalLM"):
        monkeypatch.setattr(f"limbeck.student.model.{name}", Drawing())
    (tmp_path / "m.gguf").touch()
    monkeypatch.setattr("limbeck.student.model.find_packaged", lambda name: tmp_path / "m.gguf")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    transformers_logging.enable_progress_bar()
    try:
        with pytest.raises(RuntimeError, match="converted"), quiet_libraries():
            resolve_model("packaged:m")
        assert capfd.readouterr() == ("", "")
    finally:
        transformers_logging.disable_progress_bar()


@pytest.mark.slow
def test_packaged_student_is_made_once(smollm2: object) -> None:
    """The packaged SmolLM2 resolves to a folder of plain float32 safetensors that is no longer marked as quantized."""
    folder = Path(resolve_model("packaged:smollm2-135m-instruct"))
    assert (folder / "model.safetensors").stat().st_size > 5e8
    assert "quantization_config" not in (folder / "config.json").read_text("utf-8")
