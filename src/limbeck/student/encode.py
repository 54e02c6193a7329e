"""The single place that turns text into ids and loss masks, for training, scoring, generation and evaluation.

For a causal student, the prompt is the user message rendered by the chat template, up to and including the assistant's
header. The completion is the rationale, the answer prefix and the answer, followed by the template's end-of-turn token and
nothing else. They are tokenized separately, so the ids after the prompt are exactly the ids the student must generate. A
seq2seq student reads the same user message and writes the same completion. A classifier reads the bare question, and its
completion is one class.

With separate objectives (Distilling Step-by-Step, Hsieh et al. 2023, arXiv 2305.02301) an example is learnt twice: the
prompt without rationales → the bare answer, and the prompt that asks for steps → the rationale alone. The student then
answers from the first prompt. The paper marks the two with a prefix, "[label]" or "[rationale]". We use the prompts of the
arms without and with rationales instead, so that arms differ in what is learnt but not in wording.

Only the chat template writes control tokens: the text of one in a question, an answer, a rationale or a system message is
encoded as text (`limbeck.student.plain_text`). A template's date is fixed (`limbeck.student.chat_template.fix_date`), so the
same config gives the same ids on any day. If a template's generation prompt opens a thought (``<think>``), every completion
begins by closing it, and `decode` returns what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from transformers import PreTrainedTokenizerBase

from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.student.chat_template import SENTINEL, find_thought_end, render_chat
from limbeck.student.plain_text import PlainText
from limbeck.student.settings import StudentSettings
from limbeck.student.tables import KINDS

IGNORED = -100
THINK = "Let's think step by step."


@dataclass(frozen=True)
class Encoded:
    """The ids of a prompt and its completion; only the completion is learnt and scored.

    A classifier's completion is a single id: the index of its class.

    Attributes:
        ids: the prompt's ids followed by the completion's.
        prompt_length: number of ids in the prompt.
        rationale: with separate objectives, the same example under the prompt that asks for its rationale; only training
            uses it.
    """

    ids: tuple[int, ...]
    prompt_length: int
    rationale: Encoded | None = None

    @property
    def prompt(self) -> tuple[int, ...]:
        """The ids the student reads."""
        return self.ids[: self.prompt_length]

    @property
    def completion(self) -> tuple[int, ...]:
        """The ids the student learns."""
        return self.ids[self.prompt_length :]

    @property
    def labels(self) -> list[int]:
        """The ids with those of the prompt replaced by −100; same length as `ids`."""
        return [IGNORED] * self.prompt_length + list(self.completion)

    @property
    def length(self) -> int:
        """Length of the longest sequence that training reads: this one or the rationale's."""
        return max(len(self.ids), self.rationale.length if self.rationale else 0)


@dataclass(frozen=True)
class Encoder:
    """Turns examples into ids for one student and one task. This base class is for causal students.

    Attributes:
        tokenizer: the student's tokenizer.
        task: instruction, labels and answer prefix.
        has_rationale: whether the prompt asks for a rationale and completions contain it (otherwise the answer alone).
        system: system message, or None for the template's default.
        is_separate: whether rationales are learnt separately from answers, through `reasoner`; `has_rationale` is then True
            only in the reasoner.
        lists_labels: whether the prompt lists the task's labels.
        writes_text: whether completions are text.
    """

    writes_text: ClassVar[bool] = True

    tokenizer: PreTrainedTokenizerBase
    task: Task
    has_rationale: bool = True
    system: str | None = None
    is_separate: bool = False
    lists_labels: bool = True

    @cached_property
    def reasoner(self) -> Encoder:
        """The encoder whose prompt asks for a rationale, if students learn one: itself, or the one for separate rationales."""
        return replace(self, has_rationale=True) if self.is_separate else self

    def make_messages(self, question: str, answer_type: str) -> list[dict[str, str]]:
        """Return the conversation before the completion."""
        labels = self.task.describe_labels(answer_type) if self.lists_labels else ""
        parts = [self.task.instruction, f"Possible answers:\n{labels}" if labels else "", question]
        content = "\n\n".join(part for part in parts if part) + (f"\n{THINK}" if self.has_rationale else "")
        messages = [{"role": "user", "content": content}]
        return [{"role": "system", "content": self.system}, *messages] if self.system is not None else messages

    def make_completion(self, example: Example) -> str:
        """Return what the student must write: rationale, answer prefix and answer; the bare answer; or the rationale alone."""
        if not self.has_rationale:
            return example.answer
        if self.is_separate:
            return example.rationale or ""
        if not example.rationale:
            return self.task.answer_prefix + example.answer
        return f"{example.rationale}\n{self.task.answer_prefix}{example.answer}"

    @cached_property
    def plain_text(self) -> PlainText:
        """Encodes user text without control tokens."""
        return PlainText(self.tokenizer)

    def encode_prompt(self, question: str, answer_type: str) -> list[int]:
        """Return the ids of the prompt, up to where the completion begins.

        Raises:
            ConfigError: the chat template refuses the conversation.
            DataError: the text can't be encoded without control tokens.
        """
        messages = self.make_messages(question, answer_type)
        if not self.tokenizer.chat_template:
            text = "\n\n".join(message["content"] for message in messages) + "\n\n"
            ids = self.plain_text.encode_framed(text)
            # Some tokenizers append EOS to every text; it must not come between prompt and completion.
            return ids[:-1] if ids and ids[-1] == self.tokenizer.eos_token_id else ids
        return self.plain_text.encode_prompt(messages)

    def encode_completion(self, text: str) -> list[int]:
        """Return the ids of a completion, from the end of an open thought to the end-of-turn token.

        Raises:
            DataError: the text can't be encoded without control tokens.
        """
        return [*self._tokenize(self._thought_end), *self.plain_text.encode(text), self.end_id]

    @cached_property
    def _thought_end(self) -> str:
        """The text that closes the thought which the generation prompt opens; empty if it opens none."""
        if not self.tokenizer.chat_template:
            return ""
        return find_thought_end(render_chat(self.tokenizer, self.make_messages("?", "text")))

    def _tokenize(self, text: str) -> list[int]:
        """Return the ids of text that is the template's, so that its control tokens count."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode(self, example: Example) -> Encoded:
        """Encode an annotated example, and its rationale if that is learnt separately."""
        prompt = self.encode_prompt(example.question, example.answer_type)
        apart = self.reasoner.encode(example) if self._learns_apart(example) else None
        return Encoded(tuple(prompt + self.encode_completion(self.make_completion(example))), len(prompt), apart)

    def _learns_apart(self, example: Example) -> bool:
        """Return whether the example has a rationale that gets its own row."""
        return self.is_separate and not self.has_rationale and example.rationale is not None

    @cached_property
    def end_id(self) -> int:
        """The end-of-turn token: the first special token that the template writes after an assistant message, else EOS.

        Raises:
            ConfigError: the tokenizer has neither, or the template refuses an assistant message.
        """
        if self.tokenizer.chat_template:
            messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": SENTINEL}]
            rendered = render_chat(self.tokenizer, messages, is_prompt=False)
            if SENTINEL not in rendered:
                raise ConfigError("the student's chat template leaves out assistant messages; choose another student")
            tail = self._tokenize(rendered.rpartition(SENTINEL)[2])
            special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
            found = next((token for token in tail if token in special), None)
            if found is not None:
                return int(found)
        if self.tokenizer.eos_token_id is None:
            raise ConfigError("the student's tokenizer has no end-of-turn token in its chat template and no EOS token")
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def start_id(self) -> int:
        """The token before a text without a prompt: BOS if the tokenizer starts texts with it, else EOS.

        SmolLM2 declares its turn marker as BOS but never starts a text with it, so EOS is used.

        Raises:
            ConfigError: the tokenizer has neither.
        """
        ids = self.tokenizer("a")["input_ids"]
        if self.tokenizer.bos_token_id is not None and ids[0] == self.tokenizer.bos_token_id:
            return int(ids[0])
        if self.tokenizer.eos_token_id is None:
            raise ConfigError("the student's tokenizer has neither a BOS nor an EOS token, which IFD needs")
        return int(self.tokenizer.eos_token_id)

    def read_stop_ids(self) -> frozenset[int]:
        """Return the ids that end a generation: the end-of-turn token and EOS."""
        eos = self.tokenizer.eos_token_id
        return frozenset({self.end_id} | ({int(eos)} if eos is not None else set()))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, without special tokens and without the thought that the prompt opened.

        User text never becomes special tokens, so nothing that it contains is left out.
        """
        tag = self._thought_end.strip()
        mark = self._tokenize(tag) if tag else []
        if len(mark) == 1 and mark[0] in ids:
            ids, tag = ids[list(ids).index(mark[0]) + 1 :], ""
        text = str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return (text.partition(tag)[2] if tag and tag in text else text).strip()

    def to_conversations(self, example: Example) -> list[dict[str, object]]:
        """Return conversational prompt/completion rows that `datasets` and TRL can read: one, or one per separate objective.

        With separate objectives each row names its own (``objective``: ``answer`` or ``rationale``); the answer comes first.
        """
        return [
            {
                "id": example.id,
                "domain": example.domain,
                **({"objective": "rationale" if encoder.has_rationale else "answer"} if self.is_separate else {}),
                "prompt": encoder.make_messages(example.question, example.answer_type),
                "completion": [{"role": "assistant", "content": encoder.make_completion(example)}],
            }
            for encoder in ([self, self.reasoner] if self._learns_apart(example) else [self])
        ]


class Seq2SeqEncoder(Encoder):
    """The encoder for seq2seq students: the input is the user message that a causal student would get."""

    def encode_prompt(self, question: str, answer_type: str) -> list[int]:
        """Return the ids of the input, with the special tokens that the tokenizer adds (T5 appends EOS)."""
        text = "\n\n".join(message["content"] for message in self.make_messages(question, answer_type))
        return self.plain_text.encode_framed(text)

    @cached_property
    def _thought_end(self) -> str:
        """Nothing: the input uses no chat template."""
        return ""

    @cached_property
    def end_id(self) -> int:
        """EOS, which ends an output.

        Raises:
            ConfigError: the tokenizer has none.
        """
        if self.tokenizer.eos_token_id is None:
            raise ConfigError("the student's tokenizer has no EOS token, so its outputs would never end; use another student")
        return int(self.tokenizer.eos_token_id)


class ClassifierEncoder(Encoder):
    """The encoder for classifiers: the input is the question alone, and an answer is the index of its label in the task."""

    writes_text: ClassVar[bool] = False

    def encode_prompt(self, question: str, answer_type: str) -> list[int]:
        """Return the ids of the question with special tokens, truncated to the tokenizer's `model_max_length`.

        An encoder can't read more. Training rejects rows above ``training.max_length``, so it sees truncated rows only if
        that setting exceeds `model_max_length`.
        """
        places = self.tokenizer.model_max_length
        return self.plain_text.encode_framed(question, places if places < 10**6 else None)

    def encode(self, example: Example) -> Encoded:
        """Return the ids of an example's question and its class.

        Raises:
            ConfigError: the answer is not one of the task's labels.
        """
        labels = list(self.task.labels)
        if example.answer not in labels:
            raise ConfigError(f"{example.answer!r} is not one of the classifier's labels: {', '.join(labels)}")
        prompt = self.encode_prompt(example.question, example.answer_type)
        return Encoded((*prompt, labels.index(example.answer)), len(prompt))

    def read_stop_ids(self) -> frozenset[int]:
        """Return no ids: a classifier doesn't generate text."""
        return frozenset()

    def decode(self, ids: Sequence[int]) -> str:
        """Return the label of a class."""
        return list(self.task.labels)[ids[0]]


def make_encoder(
    settings: StudentSettings, tokenizer: PreTrainedTokenizerBase, task: Task, *, has_rationale: bool, is_separate: bool = False
) -> Encoder:
    """Make the encoder of a student; a classifier never has rationales."""
    kind = KINDS[settings.kind]
    return kind.parts.encoder(
        tokenizer,
        task,
        has_rationale and kind.writes_text,
        settings.system,
        is_separate and kind.writes_text,
        settings.lists_labels,
    )
