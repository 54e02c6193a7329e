"""Specification of `limbeck.planner.history`: what an earlier ledger teaches a plan, by numbers worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import make_example, write_rows

from limbeck.config.config import Config, load_config
from limbeck.errors import DataError
from limbeck.planner.history import Learned, learn, learn_if_there
from limbeck.planner.ranges import compute_quantile, measure, measure_share
from limbeck.planner.tokens import TokenCounter
from limbeck.run_folder.plan import Range
from limbeck.runner.prepare import make_plan, read_data
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

COUNT = TokenCounter()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.001)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    rows = [{"domain": domain, "question": f"{domain} number {n}", "answer": str(n)} for domain in "ab" for n in range(20)]
    write_rows(tmp_path / "train.jsonl", rows)
    values = {
        "data": {"train": "train.jsonl"},
        "task": {"answer": "number"},
        "budget": {"max_examples": 10},
        "teacher": {"backend": "tutor", "model": "m", "max_tokens": 1000},
        "method": {"stages": 1},
    }
    (tmp_path / "config.json").write_text(json.dumps(values), "utf-8")
    return load_config(tmp_path / "config.json")


def asker(config: Config) -> tuple[TeacherSettings, dict[str, Any]]:
    return config.teacher, config.method.model_dump(mode="json")


def write_ledger(folder: Path, asked: list[tuple[str, str, int]], model: str = "m", failures: int = 0) -> list[str]:
    """Write a ledger with one answered request of 40 bytes per (purpose, domain, completion tokens); return their keys.

    The teacher counts 36 prompt tokens, and each of the first `failures` requests fails once.
    """
    folder.mkdir(exist_ok=True)
    tokens = iter([count for _, _, count in asked])
    failed: set[str] = set()

    def answer(request: TeacherRequest) -> Reply | BackendError:
        if len(failed) < failures and request.key not in failed:
            failed.add(request.key)
            return BackendError("busy", is_transient=True)
        return Reply("text", model, "stop", 36, next(tokens))

    ledger = Ledger(folder / "ledger.sqlite")
    settings = TeacherSettings(backend="scripted", model=model, max_concurrency=1)
    with Teacher(ScriptedBackend(answer), ledger, Budget(BudgetSettings(max_examples=1)), settings) as teacher:
        requests = [
            teacher.make_request("x" * 40, About(purpose, 0, domain, (make_example(str(place)),)), sample=place)
            for place, (purpose, domain, _) in enumerate(asked)
        ]
        for request in requests:
            teacher.ask_many([request])
    ledger.close()
    return [request.key for request in requests]


def test_quantiles_by_hand() -> None:
    """The 10% and 95% quantiles are interpolated; with few values half and twice the mean replace them."""
    assert compute_quantile([0, 10, 20], 0.1) == pytest.approx(2)
    assert measure([10 * n for n in range(11)]) == Range(10, 50, 95)
    assert measure([10, 30]) == Range(10, 20, 40)
    assert measure([1] * 99 + [1000]).high >= measure([1] * 99 + [1000]).likely  # a mean above the 95% quantile


def test_shares_by_hand() -> None:
    """Wilson's interval for 8 of 10 is 0.490 to 0.943; for all it reaches 1, and for none 0."""
    share = measure_share(8, 10)
    assert (share.low, share.likely, share.high) == (pytest.approx(0.490, abs=5e-4), 0.8, pytest.approx(0.943, abs=5e-4))
    assert (measure_share(10, 10).high, measure_share(0, 10).low) == (1, 0)


def test_lengths_attempts_and_prompts(tmp_path: Path, config: Config) -> None:
    """A ledger teaches reply lengths by purpose (and by domain from eight on), prompt factors, and attempts per request."""
    asked = [("annotate", "a", 10 * n) for n in range(11)] + [("annotate", "b", 500)] + [("synthesize", "b", 60)]
    write_ledger(tmp_path / "old", asked, failures=3)
    learned = learn(tmp_path / "old", *asker(config), COUNT)
    assert learned.get_reply("annotate", "a") == Range(10, 50, 95)
    assert learned.get_reply("annotate", "b") == learned.get_reply("annotate", "new")
    assert learned.get_reply("annotate", "new").likely == pytest.approx((550 + 500) / 12)  # type: ignore[union-attr]
    assert learned.get_reply("probe", "b") == learned.get_reply("synthesize", "b") == Range(30, 60, 120)
    assert learned.get_reply("evaluate", "a") is None
    # By our count 40 bytes are 10 tokens plus 8 for the template; the teacher counts 36.
    assert learned.get_prompt_factor("annotate") == Range(2, 2, 2)
    assert learned.get_attempts("annotate").likely == pytest.approx(15 / 12)
    assert learned.get_attempts("verify") == Range(1, 1, 1)
    assert learned.replies == {"annotate": 12, "synthesize": 1}
    assert learned.to_json()["domains"] == {"annotate": 1}
    assert learn(tmp_path / "old" / "ledger.sqlite", *asker(config), COUNT) == learned


def test_a_plan_by_what_was_learned(tmp_path: Path, config: Config) -> None:
    """The ledger's prompt and completion tokens, attempts and kept shares replace the guesses, by domain if possible."""
    keys = write_ledger(tmp_path / "old", [("annotate", "a", 10 * n) for n in range(11)])
    stage = tmp_path / "old" / "stage_0"
    stage.mkdir()
    write_kept(stage, real=8, rejected=keys[:2])
    learned = learn(tmp_path / "old", *asker(config), COUNT)
    assert learned.kept == {"annotate": (8, 2)}
    plan = make_plan(config, read_data(config), learned, COUNT).to_json()
    rows = {row["domain"]: row for row in plan["requests"]}
    wilson = measure_share(8, 10)
    assert rows["a"]["requests"] == {
        "low": pytest.approx(5 / wilson.high),
        "likely": pytest.approx(5 / 0.8),
        "high": pytest.approx(5 / wilson.low),
    }
    assert rows["a"]["completion_tokens"]["likely"] == pytest.approx(5 / 0.8 * 50)
    assert rows["a"]["completion_tokens"]["high"] == pytest.approx(5 / wilson.low * 95)
    plain = {row["domain"]: row for row in make_plan(config, read_data(config), count=COUNT).to_json()["requests"]}
    each, guessed = rows["a"]["prompt_tokens"]["likely"] * 0.8 / 5, plain["a"]["prompt_tokens"]["likely"] * 0.85 / 5
    assert each == pytest.approx(2 * guessed)
    assert plan["assumptions"]["learned"] == {
        "source": str(tmp_path / "old" / "ledger.sqlite"),
        "replies": {"annotate": 11},
        "domains": {"annotate": 1},
        "kept": {"annotate": {"kept": 8, "rejected": 2}},
    }


def write_kept(stage: Path, *, real: int, rejected: list[str], synthesized: int = 0, probes: int | None = None) -> None:
    entry: dict[str, Any] = {"real": real, "synthesized": synthesized, **({} if probes is None else {"probes": probes})}
    (stage / "quotas.json").write_text(json.dumps({"domains": {"a": entry}}), "utf-8")
    write_rows(stage / "rejected.jsonl", [make_rejected(key) for key in [*rejected, None, "unknown"]])


def make_rejected(key: str | None) -> dict[str, Any]:
    return {"stage": 0, "domain": "a", "reason": "empty", "request": key}


def test_kept_shares_come_by_the_purpose_of_the_request(tmp_path: Path, config: Config) -> None:
    """Rejected replies count for the purpose of their request; rejects without a request in the ledger do not count."""
    keys = write_ledger(tmp_path / "old", [("annotate", "a", 9), ("synthesize", "a", 9), ("synthesize", "a", 9)])
    (tmp_path / "old" / "stage_0").mkdir()
    write_kept(tmp_path / "old" / "stage_0", real=4, synthesized=9, rejected=keys)
    learned = learn(tmp_path / "old", *asker(config), COUNT)
    assert learned.kept == {"annotate": (4, 1), "synthesize": (9, 2)}
    assert learned.compute_kept_share("annotate") is None  # five are too few
    write_rows(tmp_path / "old" / "premixed.jsonl", [make_example(str(n)).to_json() for n in range(12)])
    write_rows(tmp_path / "old" / "premixed_rejected.jsonl", [make_rejected(keys[1])])
    assert learn(tmp_path / "old", *asker(config), COUNT).kept["synthesize"] == (12, 3)


def test_what_another_config_taught(tmp_path: Path, config: Config) -> None:
    """Another method's inventions and another annotation's kept share are ignored; another model causes a warning."""
    keys = write_ledger(tmp_path / "old", [("annotate", "a", 9), ("synthesize", "a", 9), ("evaluate", "a", 3)], model="other")
    (tmp_path / "old" / "stage_0").mkdir()
    write_kept(tmp_path / "old" / "stage_0", real=9, synthesized=9, rejected=keys[:2])
    (tmp_path / "old" / "config.yaml").write_text("method: {name: gold, annotation: blind}\n", "utf-8")
    learned = learn(tmp_path / "old", *asker(config), COUNT)
    assert (learned.replies, learned.kept) == ({"annotate": 1, "evaluate": 1}, {})
    assert "the replies are from other, not from teacher.model 'm'" in learned.warnings[0]
    assert make_plan(config, read_data(config), learned, COUNT).warnings == [learned.warnings[0]]
    assert learn_if_there(tmp_path / "old", *asker(config), COUNT) == Learned()


def test_ledgers_that_teach_nothing(tmp_path: Path, config: Config) -> None:
    """A ledger given by name must exist and contain a reply; one that is looked up automatically need not."""
    with pytest.raises(DataError, match="no ledger here"):
        learn(tmp_path / "nowhere", *asker(config), COUNT)
    assert learn_if_there(tmp_path / "nowhere", *asker(config), COUNT) == Learned()
    (tmp_path / "empty").mkdir()
    Ledger(tmp_path / "empty" / "ledger.sqlite").close()
    with pytest.raises(DataError, match="no answered request"):
        learn(tmp_path / "empty", *asker(config), COUNT)
    assert learn_if_there(tmp_path / "empty", *asker(config), COUNT) == Learned()
