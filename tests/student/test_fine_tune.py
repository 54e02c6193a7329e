"""Fine-tuning: the loss is plain cross-entropy on the completion, and a fresh student has no trace of an earlier one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support import make_example

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.student import fine_tune as fine_tune_module
from limbeck.student.encode import IGNORED, Encoded, Encoder
from limbeck.student.fine_tune import CompletionTrainer, fine_tune, load_for_training
from limbeck.student.forward import compute_token_scores, project_only, select_labelled
from limbeck.student.losses import sum_cross_entropy
from limbeck.student.model import Student, load_student, read_card, save_student
from limbeck.student.settings import LoraSettings, StudentSettings, TrainingSettings

TASK = Task(answer="number")
TRAINING = TrainingSettings(
    epochs=2, batch_size=2, learning_rate=1e-2, lora=LoraSettings(rank=2, alpha=4, dropout=0.0), precision="float32"
)


def compute_nll(student: Student, rows: list[Encoded]) -> list[torch.Tensor]:
    return [scores.nll for scores in compute_token_scores(student, rows)]


def encode_sums(student: Student, first: int, count: int = 4) -> list[Encoded]:
    encoder = Encoder(student.tokenizer, TASK)
    return [
        encoder.encode(make_example(f"Calculate {n} + 1.", str(n + 1), rationale=f"{n} + 1 = {n + 1}."))
        for n in range(first, first + count)
    ]


def train(folder: Path, tiny_folder: Path, first: int, training: TrainingSettings = TRAINING, seed: int = 3) -> Path:
    """Train a fresh tiny student on sums starting at `first` and save it in `folder`."""
    settings = StudentSettings(model=str(tiny_folder), dtype="float32")
    student = load_for_training(settings, training)
    trained = fine_tune(student, encode_sums(student, first), training, seed=seed)
    save_student(trained, folder, TASK, has_rationale=True)
    return folder


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_loss_is_cross_entropy_over_completion_tokens(tiny: Student) -> None:
    """Computing logits only at labelled positions gives the same loss as full logits with the prompt masked, to 1e-9."""
    rows = encode_sums(tiny, 0, 3)
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[0] * (width - len(row.ids))] for row in rows])
    labels = torch.tensor([[*row.labels, *[IGNORED] * (width - len(row.ids))] for row in rows])
    mask = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows])
    with torch.no_grad():
        full = tiny.model(input_ids=ids, attention_mask=mask).logits
        with project_only(tiny.model, select_labelled(labels)):
            narrow = tiny.model(input_ids=ids, attention_mask=mask).logits
    targets = labels[:, 1:]
    expected = torch.nn.functional.cross_entropy(
        full[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    assert narrow.shape == (1, sum(len(row.ids) - row.prompt_length for row in rows), full.shape[-1])
    assert float(sum_cross_entropy(narrow[0], targets[targets != IGNORED])) == pytest.approx(float(expected), abs=1e-9)
    assert tiny.model(input_ids=ids[:1]).logits.shape[1] == width, "the narrow projection must end with its context"


def test_training_lowers_the_loss_and_reports_steps(tiny_folder: Path) -> None:
    """Training on a few rows lowers their loss, and the callback gets every step up to the announced total."""
    settings = StudentSettings(model=str(tiny_folder), dtype="float32")
    student = load_student(settings)
    rows = encode_sums(student, 0)
    before = sum(float(nll.sum()) for nll in compute_nll(student, rows))
    steps: list[tuple[int, int]] = []
    longer = TRAINING.model_copy(update={"epochs": 8})
    trained = fine_tune(student, rows, longer, seed=1, on_step=lambda done, total: steps.append((done, total)))
    after = sum(float(nll.sum()) for nll in compute_nll(trained, rows))
    assert after < 0.8 * before
    assert steps == [(step, 16) for step in range(1, 17)]


def test_the_loss_of_a_step_is_the_mean_over_its_tokens(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of an accumulated step's micro-batches sum to the mean loss per completion token of the whole step."""
    losses: list[float] = []

    class Recording(CompletionTrainer):
        def compute_loss(self, *arguments: object, **options: object) -> torch.Tensor:
            loss = super().compute_loss(*arguments, **options)
            losses.append(float(loss.detach()))
            return loss

    monkeypatch.setattr(fine_tune_module, "CompletionTrainer", Recording)
    student = load_student(StudentSettings(model=str(tiny_folder), dtype="float32"))
    rows = encode_sums(student, 0, 4)
    nll = torch.cat(compute_nll(student, rows))
    still = {"epochs": 1, "gradient_accumulation": 2, "batch_size": 2, "learning_rate": 1e-12}
    fine_tune(student, rows, TRAINING.model_copy(update=still), seed=1)
    assert len(losses) == 2
    assert sum(losses) == pytest.approx(float(nll.mean()), rel=1e-5)


def test_accumulated_steps_equal_one_large_batch(tmp_path: Path, tiny_folder: Path) -> None:
    """Two accumulated batches of two train like one batch of four: the loss is divided by the tokens of the whole step."""
    small = TRAINING.model_copy(update={"epochs": 1, "gradient_accumulation": 2, "batch_size": 2})
    large = TRAINING.model_copy(update={"epochs": 1, "gradient_accumulation": 1, "batch_size": 4})
    first = read_weights(train(tmp_path / "small", tiny_folder, 0, small))
    second = read_weights(train(tmp_path / "large", tiny_folder, 0, large))
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)


def test_same_seed_same_weights(tmp_path: Path, tiny_folder: Path) -> None:
    """Training depends only on rows, settings and seed: it is reproducible, and another seed gives different weights."""
    first = read_weights(train(tmp_path / "a", tiny_folder, 0, seed=3))
    second = read_weights(train(tmp_path / "b", tiny_folder, 0, seed=3))
    other = read_weights(train(tmp_path / "c", tiny_folder, 0, seed=4))
    assert same_weights(first, second)
    assert not same_weights(first, other)


def test_a_fresh_student_has_no_trace_of_the_last(tmp_path: Path, tiny_folder: Path) -> None:
    """A student is bit for bit the same whether or not another was trained before it in the same process."""
    alone = read_weights(train(tmp_path / "alone", tiny_folder, 50))
    train(tmp_path / "earlier", tiny_folder, 0)
    after = read_weights(train(tmp_path / "after", tiny_folder, 50))
    assert same_weights(alone, after)


def test_untouched_weights_stay_untouched(tmp_path: Path, tiny_folder: Path) -> None:
    """Training a student changes neither the folder it was loaded from nor the next student loaded from it."""
    before = read_weights(tiny_folder)
    train(tmp_path / "trained", tiny_folder, 0)
    assert same_weights(before, read_weights(tiny_folder))
    fresh = load_student(StudentSettings(model=str(tiny_folder), dtype="float32")).model.state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in before.items())


def test_adapter_is_saved_alone_and_merged_on_load(tmp_path: Path, tiny_folder: Path) -> None:
    """A LoRA student is saved as an adapter and a card, without code or pickles, and loads with the adapter merged."""
    settings = StudentSettings(model=str(tiny_folder), dtype="float32")
    student = load_for_training(settings, TRAINING)
    rows = encode_sums(student, 0)
    trained = fine_tune(student, rows, TRAINING, seed=3)
    ids = torch.tensor([list(rows[0].ids)])
    with torch.no_grad():
        expected = trained.model(input_ids=ids).logits
    save_student(trained, tmp_path / "student", TASK, has_rationale=True)
    loaded = load_student(settings, tmp_path / "student")
    with torch.no_grad():
        assert torch.allclose(loaded.model(input_ids=ids).logits, expected, atol=1e-4)
        untouched = load_student(settings).model(input_ids=ids).logits
    assert not torch.allclose(untouched, expected, atol=1e-2)
    names = {path.name for path in (tmp_path / "student").iterdir()}
    assert "adapter_model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".py"))]
    assert read_card(tmp_path / "student") == (settings, TASK, True)


def test_full_fine_tuning_saves_whole_weights(tmp_path: Path, tiny_folder: Path) -> None:
    """With `lora: null` all weights are trained and saved, and no adapter is written."""
    full = TRAINING.model_copy(update={"lora": None, "learning_rate": 1e-3})
    folder = train(tmp_path / "full", tiny_folder, 0, full)
    weights, base = read_weights(folder), read_weights(tiny_folder)
    assert set(weights) == set(base)
    assert not same_weights(weights, base)
    assert not (folder / "adapter_config.json").exists()


def test_a_moved_adapter_finds_its_base_by_name(tmp_path: Path, tiny_folder: Path) -> None:
    """The saved adapter names its base model as the config does, so it contains no cache path."""
    folder = train(tmp_path / "student", tiny_folder, 0)
    text = (folder / "adapter_config.json").read_text("utf-8")
    assert f'"base_model_name_or_path": "{tiny_folder}"' in text  # the name in the settings


def test_qlora_without_cuda_is_refused() -> None:
    """`quantize: 4bit` on a machine without CUDA is a config error that names the cause."""
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        load_for_training(StudentSettings(), TRAINING.model_copy(update={"quantize": "4bit"}))


def test_the_loss_of_the_settings_is_trained(tmp_path: Path, tiny_folder: Path) -> None:
    """The symmetric loss without its reverse term trains the same weights as cross-entropy; with it, different ones."""
    plain = read_weights(train(tmp_path / "plain", tiny_folder, 0))
    symmetric = {"loss": "symmetric_cross_entropy", "alpha": 1.0, "beta": 0.0}
    same = read_weights(train(tmp_path / "same", tiny_folder, 0, TRAINING.model_copy(update=symmetric)))
    other = read_weights(train(tmp_path / "other", tiny_folder, 0, TRAINING.model_copy(update={**symmetric, "beta": 1.0})))
    torch.testing.assert_close(same, plain, atol=1e-5, rtol=1e-4)
    assert max(float((other[name] - plain[name]).abs().max()) for name in plain) > 1e-3


@pytest.mark.parametrize(("longest", "written_out"), [(512, {"eager"}), (8, {"sdpa"})])
def test_attention_is_written_out_for_short_rows_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, longest: int, written_out: set[str]
) -> None:
    """Rows within the limit train with eager attention, longer ones with the fused kernel, which is restored afterwards."""
    monkeypatch.setattr(fine_tune_module, "WRITTEN_OUT_MAX_TOKENS", longest)
    student = load_for_training(StudentSettings(model=str(tiny_folder), dtype="float32"), TRAINING)
    config = student.model.config
    seen = set()
    trained = fine_tune(
        student, encode_sums(student, 0), TRAINING, seed=3, on_step=lambda *_: seen.add(config._attn_implementation)
    )
    assert seen == written_out
    assert trained.model.config._attn_implementation == "sdpa"


def test_attention_written_out_trains_the_same_weights(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fused and eager attention train the same weights to 1e-5 in float32."""
    written_out = read_weights(train(tmp_path / "eager", tiny_folder, 0))
    monkeypatch.setattr(fine_tune_module, "WRITTEN_OUT_MAX_BYTES", 0)
    fused = read_weights(train(tmp_path / "sdpa", tiny_folder, 0))
    for name, weights in fused.items():
        torch.testing.assert_close(written_out[name], weights, rtol=0, atol=1e-5)
