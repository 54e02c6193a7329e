"""The one place where text becomes ids and loss mask, for training, scoring, generating and evaluating alike.

A prompt is the chat template's rendering of the user message up to and including the assistant's header; a completion is
the rationale, the answer prefix and the answer, then the template's end-of-turn token and nothing after it. Both are
tokenized apart, so the ids after the prompt are the very ids the student must generate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.errors import ConfigError

IGNORED = -100
_SENTINEL = "limbeck-sentinel-7c1f"
THINK = "Let's think step by step."


@dataclass(frozen=True)
class Encoded:
    """Ids of a prompt and its completion; only the completion is learnt and scored."""

    ids: tuple[int, ...]
    prompt_length: int

    @property
    def labels(self) -> list[int]:
        """The ids with the prompt's replaced by −100; same length as `ids`."""
        return [IGNORED] * self.prompt_length + list(self.ids[self.prompt_length :])


@dataclass(frozen=True)
class Encoder:
    """Turns examples into ids for one student and one task.

    Attributes:
        tokenizer: of the student.
        task: instruction, labels and answer prefix.
        has_rationale: whether completions carry the rationale (else the answer alone).
        system: system message, or None for what the template does without one.
    """

    tokenizer: PreTrainedTokenizerBase
    task: Task
    has_rationale: bool = True
    system: str | None = None

    def make_messages(self, question: str, answer_type: str) -> list[dict[str, str]]:
        """The conversation before the completion."""
        labels = self.task.describe_labels() if answer_type == "label" else ""
        parts = [self.task.instruction, f"Possible answers:\n{labels}" if labels else "", question]
        content = "\n\n".join(part for part in parts if part) + (f"\n{THINK}" if self.has_rationale else "")
        messages = [{"role": "user", "content": content}]
        return [{"role": "system", "content": self.system}, *messages] if self.system is not None else messages

    def make_completion(self, example: Example) -> str:
        """What the student must write: rationale, answer prefix and answer; or the bare answer."""
        if not self.has_rationale:
            return example.answer
        if not example.rationale:
            return self.task.answer_prefix + example.answer
        return f"{example.rationale}\n{self.task.answer_prefix}{example.answer}"

    def encode_prompt(self, question: str, answer_type: str) -> list[int]:
        """Ids of the prompt, up to where the completion begins."""
        messages = self.make_messages(question, answer_type)
        if not self.tokenizer.chat_template:
            text = "\n\n".join(message["content"] for message in messages) + "\n\n"
            ids = list(self.tokenizer(text)["input_ids"])
            # A tokenizer that ends every text must not end the prompt before its completion.
            return ids[:-1] if ids and ids[-1] == self.tokenizer.eos_token_id else ids
        return list(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])

    def encode_completion(self, text: str) -> list[int]:
        """Ids of a completion, its end-of-turn token included."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end_id]

    def encode(self, example: Example) -> Encoded:
        """Ids and mask of an annotated example."""
        prompt = self.encode_prompt(example.question, example.answer_type)
        return Encoded(tuple(prompt + self.encode_completion(self.make_completion(example))), len(prompt))

    @cached_property
    def end_id(self) -> int:
        """The template's end-of-turn token: the first special token it writes after an assistant message, else EOS.

        Raises:
            ConfigError: the tokenizer has neither.
        """
        if self.tokenizer.chat_template:
            messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _SENTINEL}]
            rendered = str(self.tokenizer.apply_chat_template(messages, tokenize=False))
            tail = self.tokenizer(rendered.rsplit(_SENTINEL, 1)[1], add_special_tokens=False)["input_ids"]
            special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
            found = next((token for token in tail if token in special), None)
            if found is not None:
                return int(found)
        if self.tokenizer.eos_token_id is None:
            raise ConfigError("the student's tokenizer has no end-of-turn token in its chat template and no EOS token")
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def start_id(self) -> int:
        """What stands before a text without a prompt: BOS where the tokenizer puts one there, else EOS.

        SmolLM2 names its turn marker as BOS but never begins a text with it, so it has none in this sense.

        Raises:
            ConfigError: the tokenizer has neither.
        """
        ids = self.tokenizer("a")["input_ids"]
        if self.tokenizer.bos_token_id is not None and ids[0] == self.tokenizer.bos_token_id:
            return int(ids[0])
        if self.tokenizer.eos_token_id is None:
            raise ConfigError("the student's tokenizer has neither a BOS nor an EOS token, so IFD has no start")
        return int(self.tokenizer.eos_token_id)

    def find_stop_ids(self) -> frozenset[int]:
        """The ids that end a generation: the end-of-turn token and EOS."""
        eos = self.tokenizer.eos_token_id
        return frozenset({self.end_id} | ({int(eos)} if eos is not None else set()))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids, special tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def to_conversation(self, example: Example) -> dict[str, object]:
        """A conversational prompt/completion row that `datasets` and TRL read as it is."""
        return {
            "id": example.id,
            "domain": example.domain,
            "prompt": self.make_messages(example.question, example.answer_type),
            "completion": [{"role": "assistant", "content": self.make_completion(example)}],
        }
