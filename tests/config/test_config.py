"""The config: one clear line for every mistake, and a full example that loads."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support import ROOT

from limbeck.config.changes import check_same_run, list_differences
from limbeck.config.config import PROFILES, Config, load_config, make_config
from limbeck.config.safe_yaml import parse_yaml
from limbeck.errors import ConfigError

CONTRACT = """
name: math-longtail
seed: 13
data:
  train: train.jsonl
  test: test.jsonl
  columns: {domain: domain, question: question, answer: answer}
  domain: column
task: {instruction: "Solve the problem.", answer: number}
teacher: {backend: tutor, model: YOUR-MODEL, max_concurrency: 64,
          temperature: 0.7, max_tokens: 512, prices: {prompt_usd_per_mtok: 0.15, completion_usd_per_mtok: 0.60}}
budget: {max_examples: 2100, max_requests: null, max_tokens: null, max_cost_usd: 5.0}
student: {model: "packaged:smollm2-135m-instruct", kind: causal}
training: {epochs: 3, learning_rate: 1.0e-3, batch_size: 8, max_length: 1024, lora: {rank: 16, alpha: 32, dropout: 0.05},
           loss: cross_entropy}
method: {name: baldistill, stages: 5, quota: adaptive, adaptive_offset: 0, selection: ifd, tail: synthesize, pooling: shortfall,
         annotation: hinted, on_mismatch: reject, verify: none, feedback: random, student_init: fresh}
evaluation: {max_examples: null, max_new_tokens: 200}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_contracts_example_loads(tmp_path: Path) -> None:
    """A full example config loads with its values, and its paths are relative to its own folder."""
    config = load_config(write(tmp_path, CONTRACT))
    assert config.budget.max_examples == 2100
    assert config.teacher.prices is not None
    assert config.data.train == str(tmp_path / "train.jsonl")
    assert config.training.lora is not None
    assert config.training.lora.rank == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {epoch: 3}", "training.epoch: unknown key; did you mean 'epochs'?"),
        ("traning: {epochs: 3}", "traning: unknown key; did you mean 'training'?"),
        ("training: {lora: {rnk: 3}}", "training.lora.rnk: unknown key; did you mean 'rank'?"),
        ("teacher: {tutor: {sliprate: 0.1}}", "unknown key; did you mean 'slip_rate'?"),
        ("budget: {max_examples: many}", "budget.max_examples: "),
        ("budget: {max_examples: 0}", "budget.max_examples: Input should be greater than 0"),
        ("task: {answer: numbr}", "unknown answer type 'numbr'; did you mean 'number'? Known: number, choice"),
        ("task: {fields: [a, b]}", "need a task.template"),
        ("task: {fields: [a], template: '{a} {b}'}", "the template names unknown field(s) ['b']; known: ['a']"),
        (
            "method: {quota: adaptiv}",
            "method.quota: unknown quota 'adaptiv'; did you mean 'adaptive'? Known: none, natural, uniform, adaptive, error",
        ),
        ("method: {preset: baldistil-a}", "no preset 'baldistil-a'; did you mean 'baldistill-a'?"),
        ("profile: gpu", "profile: 'gpu' is not one of paper, cpu"),
        ("[1, 2]", "expected a mapping of keys, found list"),
        ("a: [", "not YAML"),
        ("name: x\nseed: !!bool abc", "not YAML: line 2: 'abc' can't be read as bool"),
        ("name: x\nseed: !!int ''", "not YAML: line 2: '' can't be read as int"),
        ("name: x\nseed: [1, !!int x]", "not YAML: line 2: 'x' can't be read as int"),
        ("name: x\nseed: !!float ''", "not YAML: line 2: '' can't be read as float"),
        ("name: x\nseed: !!timestamp abc", "not YAML: line 2: 'abc' can't be read as timestamp"),
        ("name: x\n!!int '': 3", "not YAML: line 2: '' can't be read as int"),
        ("name: x\nseed: !!map [1]", "not YAML: expected a mapping node, but found sequence"),
        ("a: 1\nb: {c: 1, d: 2, c: 3}", "line 2: key 'c' is given twice; keep one"),
        ("name: ${NOT_SET_ANYWHERE}", "the environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    """Every mistake is a config error that names the file, the key and the remedy."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert message in str(caught.value)
    assert str(tmp_path / "config.yaml") in str(caught.value)


class Key(str):
    """A key that counts how often it is compared with an equal or unequal one."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_long_mapping_is_read_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check for repeated keys compares each key with few others, so that a config of many keys can't stall limbeck."""
    make = yaml.ScalarNode.__init__

    def watch(node: yaml.ScalarNode, tag: str, value: str, *args: Any, **facts: Any) -> None:  # noqa: ANN401
        make(node, tag, Key(value), *args, **facts)

    monkeypatch.setattr(yaml.ScalarNode, "__init__", watch)
    monkeypatch.setattr(Key, "compared", 0)
    assert len(parse_yaml("\n".join(f"k{number}: 1" for number in range(1000)), "config")) == 1000
    assert Key.compared < 20_000


@pytest.mark.parametrize("source", [5, ["a"], b"config.yaml", 1.5, True])
def test_a_config_of_another_type_is_refused(source: Any) -> None:  # noqa: ANN401
    """Only a path, a mapping or None is a config; anything else is a config error, never the defaults."""
    with pytest.raises(ConfigError, match="expected the path of a YAML file, a mapping of settings, or None"):
        load_config(source)


def test_faults_of_plain_values_name_their_place() -> None:
    """A fault of a plain mapping is reported as the config's, a fault of overrides alone as that of --set."""
    with pytest.raises(ConfigError, match=r"^config: traning: unknown key"):
        load_config({"traning": {}})
    with pytest.raises(ConfigError, match=r"^--set: traning: unknown key"):
        load_config(None, ["traning.epochs=3"])


def test_plain_values_may_contain_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path object in plain values means what its text means, and the caller's values stay as they are."""
    monkeypatch.chdir(tmp_path)
    values = {"data": {"train": Path("t.jsonl"), "root": Path("rows")}, "student": {"model": Path("/models/one")}}
    before = json.dumps(values, default=str)
    config = load_config(values)
    assert (config.data.train, config.student.model) == (str(tmp_path / "rows" / "t.jsonl"), "/models/one")
    assert json.dumps(values, default=str) == before
    assert isinstance(values["data"]["train"], Path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A missing config file is a config error with its path."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_set_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--set` values are YAML, create missing groups, and have paths relative to the working directory."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    sets = ["budget.max_examples=7", "evaluation.max_examples=null", "data.test=mine.jsonl", "training.lora=null"]
    config = load_config(write(tmp_path, "name: x"), sets)
    assert (config.budget.max_examples, config.evaluation.max_examples, config.training.lora) == (7, None, None)
    assert config.data.test == str(elsewhere / "mine.jsonl")


@pytest.mark.parametrize(
    "override",
    ["budget", "=3", "name.x=3", "budget.max_examples=[", "budgt.max_examples=3", "seed=!!bool abc", "seed=!!timestamp abc"],
)
def test_bad_overrides_are_refused(tmp_path: Path, override: str) -> None:
    """A `--set` that is not KEY=VALUE with a known key is a config error."""
    with pytest.raises(ConfigError):
        load_config(write(tmp_path, "name: x"), [override])


def test_the_template_may_stand_beside_the_columns(tmp_path: Path) -> None:
    """`data.template` and `data.fields` move to the task, and giving one of them in both places is an error."""
    text = 'data: {template: "P: {premise}\\nH: {hypothesis}", fields: [premise, hypothesis]}'
    config = load_config(write(tmp_path, text))
    assert config.task.fields == ("premise", "hypothesis")
    assert config.task.render_question({"premise": "a", "hypothesis": "b"}) == "P: a\nH: b"
    with pytest.raises(ConfigError, match="fields given both in data and in task"):
        load_config(write(tmp_path, text + "\ntask: {fields: [premise]}"))


def test_environment_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`${NAME}` takes the environment's value, and `${NAME:-other}` falls back if it is not set."""
    monkeypatch.setenv("LIMBECK_TEST_NAME", "from-outside")
    config = load_config(write(tmp_path, "name: ${LIMBECK_TEST_NAME}-${LIMBECK_TEST_NONE:-x}"))
    assert config.name == "from-outside-x"


def test_layers_of_defaults(tmp_path: Path) -> None:
    """The user's value beats the preset's, which beats the profile's, which beats the class's default."""
    config = load_config(write(tmp_path, "profile: paper\nmethod: {preset: balance-cot, stages: 2}"))
    assert (config.method.stages, config.method.quota, config.method.selection) == (2, "uniform", "random")
    assert (config.training.learning_rate, config.training.schedule, config.evaluation.max_new_tokens) == (
        2e-4,
        "constant",
        400,
    )
    assert load_config(write(tmp_path, "method: {stages: 3, quota: adaptive}"), preset="balance-cot").method.stages == 1
    assert load_config(write(tmp_path, "method:"), preset="zero-shot").method.stages == 0


def test_a_set_value_wins_over_a_preset(tmp_path: Path) -> None:
    """`--set` wins over the file and over a preset from outside."""
    path = write(tmp_path, "method: {selection: random}")
    method = load_config(path, ["method.selection=loss"], preset="baldistill-a").method
    assert (method.selection, method.quota) == ("loss", "adaptive")
    assert load_config(path, preset="baldistill-a").method.selection == "ifd"


def test_what_a_config_keeps_from_presets(tmp_path: Path) -> None:
    """A preset from outside does not change settings in `method.keeps` that the file gives, but sets those it leaves open."""
    path = write(tmp_path, "method: {preset: baldistill-a, stages: 2, annotation: none, keeps: [annotation, tail, selection]}")
    for preset in ("random-label", "duplicate-cot", "active-cot", "baldistill-n"):
        method = load_config(path, preset=preset).method
        assert (method.preset, method.annotation) == (preset, "none")
    assert load_config(path, preset="duplicate-cot").method.tail == "duplicate"
    assert load_config(path, ["method.tail=none"], preset="duplicate-cot").method.tail == "none"
    assert load_config(path, preset="baldistill-n").method.stages == 2
    assert load_config(path, preset="balance-cot").method.stages == 1
    assert load_config(write(tmp_path, "method: {keeps: null}"), preset="random-label").method.annotation == "none"
    for wrong, message in (
        ("[anotation]", r"\['anotation'\] can't be kept from presets; expected names from .*quota,"),
        ("tail", "keeps"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(write(tmp_path, f"method: {{keeps: {wrong}}}"), preset="random-label")


def test_paper_profile_is_the_released_codes() -> None:
    """The `paper` profile has the values of the papers' released code."""
    config = make_config({"profile": "paper"})
    lora = config.training.lora
    assert lora is not None
    assert (config.method.stages, config.training.epochs, config.training.learning_rate, config.training.batch_size) == (
        5,
        5,
        2e-4,
        16,
    )
    assert (lora.rank, lora.alpha, lora.dropout, lora.target_modules) == (8, 16, 0.1, ("q_proj", "v_proj"))
    assert (config.method.score_max_new_tokens, config.evaluation.max_new_tokens, config.training.max_length) == (
        200,
        400,
        1024,
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_are_valid_on_their_own(profile: str) -> None:
    """Every profile is a complete config and survives a round trip through JSON."""
    config = make_config({"profile": profile})
    again = Config.model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))
    assert again == config


def test_a_folder_older_than_a_key_has_its_default(tmp_path: Path) -> None:
    """A run folder from before a setting existed resumes if the setting has its default, and is refused otherwise."""
    config = make_config({})
    before = config.model_dump(mode="json")
    del before["student"]["lists_labels"], before["evaluation"]
    check_same_run(tmp_path, before, {}, config, {})
    other = make_config({"student": {"lists_labels": False}})
    with pytest.raises(ConfigError, match=r"another config: student\.lists_labels differ"):
        check_same_run(tmp_path, before, {}, other, {})
    with pytest.raises(ConfigError, match=r"another config: student\.gone differ"):
        check_same_run(
            tmp_path, {**config.model_dump(mode="json"), "student": {**config.student.model_dump(), "gone": 1}}, {}, config, {}
        )


def test_differences_name_keys_but_not_changeable_ones() -> None:
    """The differences of two configs are dotted keys; caps and file locations may change between resumes."""
    first = make_config({"seed": 1}).model_dump(mode="json")
    second = make_config(
        {
            "seed": 2,
            "budget": {"max_examples": 1000, "max_requests": 5},
            "data": {"train": "/x"},
            "training": {"lora": {"rank": 4}},
        }
    ).model_dump(mode="json")
    assert list_differences(first, second) == ["seed", "training.lora.rank"]
    assert list_differences(first, first) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Config.model_fields, "x", "lora"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*Config.model_fields, "y"]), values, max_size=5))
def test_any_values_give_a_config_or_a_config_error(given_values: dict[str, object]) -> None:
    """Any file content gives a config or a `ConfigError`, never another exception."""
    with contextlib.suppress(ConfigError):
        make_config(given_values)


def test_the_schema_for_editors_is_current() -> None:
    """`docs/config.schema.json` matches the settings classes; `python docs/make_schema.py` renews it."""
    written = json.loads((ROOT / "docs" / "config.schema.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(Config.model_json_schema()))


def test_data_root_is_where_relative_data_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of data and recorded replies start at data.root, or at the working directory if --set gives them."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "config.yaml"
    path.write_text(
        "data: {root: ../else, train: t.jsonl, test: s/t.csv}\nteacher: {recorded: {annotations: r.jsonl}}", "utf-8"
    )
    config = load_config(path, ["data.test=mine/t.csv"])
    assert config.data.train == str(tmp_path.parent / "else/t.jsonl")
    assert config.teacher.recorded.annotations == str(tmp_path.parent / "else/r.jsonl")
    assert config.data.test == str(tmp_path / "here/mine/t.csv")
    moved = load_config(path, [f"data.root={tmp_path}"])
    assert (moved.data.train, moved.data.test) == (str(tmp_path / "t.jsonl"), str(tmp_path / "s/t.csv"))


def test_hub_ids_stay_as_they_are(tmp_path: Path) -> None:
    """A data source that is not a local path may be a Hub id, unless its first part is a local folder."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text("data: {train: org/name, test: data/missing}\nteacher: {tokenizer: models/tok}", "utf-8")
    config = load_config(path)
    assert (config.data.train, config.data.test) == ("org/name", str(tmp_path / "data/missing"))
    assert config.teacher.tokenizer == tmp_path / "models/tok"


def test_gguf_models_are_paths(tmp_path: Path) -> None:
    """A model that ends in .gguf is a path relative to the config; any other name is left alone."""
    path = tmp_path / "config.yaml"
    path.write_text("teacher: {backend: embedded, model: weights/m.gguf}", "utf-8")
    assert load_config(path).teacher.model == str(tmp_path / "weights/m.gguf")
    assert load_config(path, ["teacher.model=org/model"]).teacher.model == "org/model"
