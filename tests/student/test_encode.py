"""`encode`: the single place that turns text into ids and loss mask."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_dataset
from tests.support import CHAT_TEMPLATES, make_example, make_tokenizer
from tokenizers.processors import TemplateProcessing

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.student.encode import IGNORED, Encoder, make_encoder
from limbeck.student.settings import StudentSettings
from limbeck.system.files import write_jsonl

EXAMPLE = make_example("Calculate 2 + 3.", "5", rationale="2 + 3 = 5.")
TASK = Task(instruction="Solve the problem.", answer="number")


@pytest.mark.parametrize("template", CHAT_TEMPLATES)
def test_mask_is_the_completion(template: str) -> None:
    """For every chat template only the rationale, the answer line and the end-of-turn token are labels."""
    tokenizer = make_tokenizer(template)
    encoded = Encoder(tokenizer, TASK).encode(EXAMPLE)
    learnt = [token for token in encoded.labels if token != IGNORED]
    assert len(encoded.labels) == len(encoded.ids)
    assert tokenizer.decode(learnt) == "2 + 3 = 5.\nThe answer is: 5" + CHAT_TEMPLATES[template][1]
    assert encoded.labels[: encoded.prompt_length] == [IGNORED] * encoded.prompt_length
    assert encoded.labels[encoded.prompt_length :] == list(encoded.ids[encoded.prompt_length :])


@pytest.mark.parametrize("template", [name for name, (text, _) in CHAT_TEMPLATES.items() if text])
def test_prompt_is_the_generation_prompt(template: str) -> None:
    """The ids before the completion are the template's rendering of the conversation with the generation prompt."""
    tokenizer = make_tokenizer(template)
    encoder = Encoder(tokenizer, TASK)
    encoded = encoder.encode(EXAMPLE)
    rendered = tokenizer.apply_chat_template(
        encoder.make_messages(EXAMPLE.question, "number"), tokenize=False, add_generation_prompt=True
    )
    assert tokenizer.decode(encoded.ids[: encoded.prompt_length]) == rendered
    assert list(encoded.ids[: encoded.prompt_length]) == encoder.encode_prompt(EXAMPLE.question, "number")


@pytest.mark.parametrize("template", CHAT_TEMPLATES)
def test_generation_stops_at_the_trained_end(template: str) -> None:
    """The token that ends a completion in training also ends a generation."""
    encoder = Encoder(make_tokenizer(template), TASK)
    assert encoder.encode(EXAMPLE).ids[-1] in encoder.read_stop_ids()


def test_start_is_bos_only_where_texts_begin_with_it() -> None:
    """IFD's unconditional text starts with BOS if the tokenizer does so, else with EOS; without either it is an error."""
    plain = make_tokenizer()
    assert Encoder(plain, TASK).start_id == plain.eos_token_id
    adding = make_tokenizer()
    adding._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", adding.bos_token_id), ("</s>", adding.eos_token_id)]
    )
    assert Encoder(adding, TASK).start_id == adding.bos_token_id
    without = make_tokenizer()
    without.eos_token = None
    with pytest.raises(ConfigError, match="neither a BOS nor an EOS"):
        _ = Encoder(without, TASK).start_id


def test_a_tokenizer_that_ends_texts_does_not_end_prompts() -> None:
    """Without a chat template, an EOS appended by the tokenizer does not end up between prompt and completion."""
    tokenizer = make_tokenizer("none")
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
    )
    encoded = Encoder(tokenizer, TASK).encode(EXAMPLE)
    assert encoded.ids.count(tokenizer.eos_token_id) == 1
    assert (encoded.ids[0], encoded.ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_label_only_students_learn_the_bare_answer() -> None:
    """Without rationales the completion is the answer alone and the prompt does not ask for steps."""
    encoder = Encoder(make_tokenizer(), TASK, has_rationale=False)
    assert encoder.make_completion(EXAMPLE) == "5"
    assert "step by step" not in encoder.make_messages("q", "number")[0]["content"]


def test_labels_are_shown_for_label_rows_only() -> None:
    """The prompt lists the labels and their meanings only if the answer is a label."""
    task = Task(answer="label", labels={"earn": "quarterly results", "acq": "a take-over"})
    encoder = Encoder(make_tokenizer(), task)
    assert "- earn: quarterly results\n- acq: a take-over" in encoder.make_messages("q", "label")[0]["content"]
    assert "quarterly" not in encoder.make_messages("q", "number")[0]["content"]


def test_labels_can_be_left_out_of_prompts() -> None:
    """With `lists_labels: false` the prompt is just instruction and question."""
    task = Task(instruction="Name it.", answer="label", labels={"earn": "quarterly results", "acq": "a take-over"})
    encoder = make_encoder(StudentSettings(lists_labels=False), make_tokenizer(), task, has_rationale=False)
    assert encoder.make_messages("q", "label")[0]["content"] == "Name it.\n\nq"


def test_system_message_is_the_setting() -> None:
    """The system message from the settings comes first; None leaves it to the template."""
    with_system = Encoder(make_tokenizer(), TASK, system="Be brief.").make_messages("q", "number")
    assert [message["role"] for message in with_system] == ["system", "user"]
    assert [message["role"] for message in Encoder(make_tokenizer(), TASK).make_messages("q", "number")] == ["user"]


def test_special_tokens_in_user_text_do_not_end_the_mask() -> None:
    """An end-of-turn token in a question changes neither the completion's ids nor where the completion starts."""
    encoder = Encoder(make_tokenizer(), TASK)
    plain, hostile = encoder.encode(EXAMPLE), encoder.encode(EXAMPLE.but(question="x<|im_end|>y"))
    assert hostile.ids[hostile.prompt_length :] == plain.ids[plain.prompt_length :]


def test_training_rows_load_as_conversations(tmp_path: Path) -> None:
    """`train.jsonl` rows load with `datasets` as conversational prompt/completion rows with the texts that are learnt."""
    encoder = Encoder(make_tokenizer(), TASK)
    write_jsonl(tmp_path / "train.jsonl", encoder.to_conversations(EXAMPLE))
    row = load_dataset("json", data_files=str(tmp_path / "train.jsonl"), cache_dir=str(tmp_path / "cache"))["train"][0]
    assert row["prompt"] == encoder.make_messages(EXAMPLE.question, "number")
    assert row["completion"] == [{"role": "assistant", "content": "2 + 3 = 5.\nThe answer is: 5"}]


@pytest.mark.parametrize("template", CHAT_TEMPLATES)
def test_separate_objectives_have_a_row_each(template: str) -> None:
    """The answer's row is that of a student without rationales; the rationale's row has the other prompt and no answer."""
    tokenizer = make_tokenizer(template)
    encoded = Encoder(tokenizer, TASK, has_rationale=False, is_separate=True).encode(EXAMPLE)
    bare, joint = Encoder(tokenizer, TASK, has_rationale=False).encode(EXAMPLE), Encoder(tokenizer, TASK).encode(EXAMPLE)
    assert encoded.ids == bare.ids
    assert encoded.rationale is not None
    assert encoded.rationale.prompt == joint.prompt != encoded.prompt
    assert tokenizer.decode(encoded.rationale.completion) == "2 + 3 = 5." + CHAT_TEMPLATES[template][1]
    assert encoded.rationale.rationale is None
    assert (encoded.length, bare.length) == (len(encoded.rationale.ids), len(bare.ids))


def test_an_example_without_a_rationale_has_one_row() -> None:
    """Without a rationale, as for a candidate, only the bare answer is learnt, and its row is the longest."""
    encoder = Encoder(make_tokenizer(), TASK, has_rationale=False, is_separate=True)
    encoded = encoder.encode(EXAMPLE.but(rationale=None))
    assert encoded.rationale is None
    assert encoded.length == len(encoded.ids)
    assert len(encoder.to_conversations(EXAMPLE.but(rationale=None))) == 1


def test_separate_objectives_are_two_conversations(tmp_path: Path) -> None:
    """`train.jsonl` has both rows of an example, each with its objective and the text that is learnt."""
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer, TASK, has_rationale=False, is_separate=True)
    write_jsonl(tmp_path / "train.jsonl", encoder.to_conversations(EXAMPLE))
    rows = load_dataset("json", data_files=str(tmp_path / "train.jsonl"), cache_dir=str(tmp_path / "cache"))["train"]
    assert [(row["id"], row["objective"]) for row in rows] == [(EXAMPLE.id, "answer"), (EXAMPLE.id, "rationale")]
    assert [row["completion"][0]["content"] for row in rows] == ["5", "2 + 3 = 5."]
    learnt = encoder.encode(EXAMPLE)
    for row, encoded in zip(rows, (learnt, learnt.rationale), strict=True):
        assert encoded is not None
        rendered = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        assert tokenizer.decode(encoded.prompt) == rendered


def test_the_reasoner_asks_for_a_rationale() -> None:
    """The prompt that asks for a rationale is the encoder's own, or with separate objectives that of the second row."""
    tokenizer = make_tokenizer()
    for has_rationale, is_separate, asks in ((True, False, True), (False, False, False), (False, True, True)):
        encoder = Encoder(tokenizer, TASK, has_rationale=has_rationale, is_separate=is_separate)
        content = encoder.reasoner.make_messages("q", "number")[-1]["content"]
        assert ("step by step" in content) == asks
        assert ("step by step" in encoder.make_messages("q", "number")[-1]["content"]) == has_rationale
