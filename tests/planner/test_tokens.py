"""Specification of `limbeck.planner.tokens`: a plan counts tokens as the teacher does, where its tokenizer is here."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from tests.support import CHAT_TEMPLATES, make_tokenizer
from transformers import AutoTokenizer

from limbeck.errors import ConfigError
from limbeck.planner.gguf import read_header
from limbeck.planner.tokens import BYTES, CHAT_TOKENS, TokenCounter, load_counter
from limbeck.teacher.request import About, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

PACKAGED = "packaged:smollm2-135m-instruct"
CHAT = [
    {"role": "user", "content": "What is 12 + 30?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "And 5  times\n7 — 好?"},
]
TEXTS = [
    "",
    "12345 apples, 3.14159 pears",
    "don't  do   this\n\n\nnow",
    "Ünïcödé 漢字 🎉🎉",
    "  leading and trailing  ",
    "def f(x):\n    return x*2  # twice\n\tend",
    "DON'T I'LL",
    "\r\n\r\n x",
    " \n 9",
    "<|im_start|>user\nhi<|im_end|>\n",
    r"\frac{1}{2} \cdot \sqrt{16} = 2",
    "a" * 300,
]


@pytest.fixture(scope="module")
def embedded(packaged_model: Path) -> TokenCounter:
    """Counts as the packaged teacher does."""
    return load_counter(TeacherSettings(backend="embedded", model=PACKAGED))


def write_gguf(path: Path, fields: dict[str, str | list[str]]) -> Path:
    """A GGUF file of texts and lists of texts, without weights."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw

    parts = [b"GGUF", struct.pack("<IQQ", 3, 0, len(fields))]
    for name, value in fields.items():
        parts.append(text(name))
        if isinstance(value, str):
            parts += [struct.pack("<I", 8), text(value)]
        else:
            parts += [struct.pack("<IIQ", 9, 8, len(value)), *map(text, value)]
    path.write_bytes(b"".join(parts))
    return path


def test_a_gguf_file_counts_as_its_transformers_tokenizer(embedded: TokenCounter, packaged_model: Path) -> None:
    """The embedded teacher's prompts are counted by its file's own tokenizer, and equal what transformers makes of it."""
    tokenizer = AutoTokenizer.from_pretrained(packaged_model.parent, gguf_file=packaged_model.name)
    assert [embedded.count(text) for text in TEXTS] == [len(tokenizer.encode(text, add_special_tokens=False)) for text in TEXTS]
    plain = [{**message, "content": message["content"].replace("  ", " ")} for message in CHAT]
    ids = tokenizer.apply_chat_template(plain, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
    assert embedded.count_prompt(plain) == len(ids)
    assert (embedded.is_exact, embedded.name, embedded.template_name) == (True, packaged_model.name, "the model's own")


@pytest.mark.slow
def test_a_gguf_file_counts_as_llama_cpp(embedded: TokenCounter) -> None:
    """The count of a whole prompt is that of the server which the request goes to, also where transformers' is not."""
    pytest.importorskip("xllamacpp", reason="the embedded extra is not installed")
    from limbeck.teacher.backends.embedded import EmbeddedBackend

    backend = EmbeddedBackend(TeacherSettings(backend="embedded", model=PACKAGED))
    chats = [CHAT, *([{"role": "user", "content": text}] for text in ("a  5", "tab\t\t7", "١٢٣ ½", "It's 1 and 22."))]

    async def ask() -> list[int]:
        about = About("annotate", 0, "d")
        try:
            return [
                (await backend.send(TeacherRequest("m", tuple(chat), {"max_tokens": 1}, about))).prompt_tokens for chat in chats
            ]
        finally:
            await backend.close()

    assert asyncio.run(ask()) == [embedded.count_prompt(chat) for chat in chats]


@pytest.mark.parametrize("family", ["chatml", "llama3", "gemma", "mistral"])
def test_a_tokenizer_folder_counts_its_chat_template(tmp_path: Path, family: str) -> None:
    """The conversation of a request is counted in the chat template beside `teacher.tokenizer`."""
    tokenizer = make_tokenizer(family)
    tokenizer.save_pretrained(tmp_path)
    for given in (tmp_path, tmp_path / "tokenizer.json"):
        counter = load_counter(TeacherSettings(tokenizer=given))
        ids = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
        assert counter.count_prompt(CHAT) == len(ids)


@pytest.mark.parametrize("template", [None, "{{ tools[0].name }}", "{{ 1 / 0 }}", "{% for %}", "{{ raise_exception('no') }}"])
def test_templates_that_are_not_known(tmp_path: Path, template: str | None) -> None:
    """Where a chat template is missing or wants more than messages, a message counts with a few tokens more than its text."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    counter = load_counter(TeacherSettings(tokenizer=tmp_path))
    assert counter.template_name == f"{CHAT_TOKENS} tokens a message"
    assert counter.count_prompt([{"role": "user", "content": "abc"}]) == 3 + CHAT_TOKENS


def test_bytes_where_no_tokenizer_is_here() -> None:
    """A teacher behind an API is counted at four bytes a token, and the counter says that it is no exact one."""
    counter = load_counter(TeacherSettings(backend="openai_compatible", base_url="http://127.0.0.1:9/v1", model="m"))
    assert (counter.count("12345"), counter.count_prompt(CHAT[:1]), counter.name, counter.is_exact) == (2, 12, BYTES, False)
    assert CHAT_TEMPLATES["none"][0] is None


def test_gguf_files_of_other_kinds(tmp_path: Path) -> None:
    """A GGUF file with a tokenizer of an unknown kind is counted by bytes, which the name says; a broken one is an error."""
    path = write_gguf(tmp_path / "m.gguf", {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["a", "b"]})
    counter = load_counter(TeacherSettings(backend="embedded", model=str(path)))
    assert counter.name == "4 bytes a token (m.gguf has a tokenizer of an unknown kind, llama/None)"
    assert read_header(path, "tokenizer.ggml.t") == {"tokenizer.ggml.tokens": ["a", "b"]}
    whole = path.read_bytes()
    for size in range(5, len(whole) - 1, 7):
        broken = tmp_path / f"{size}.gguf"
        broken.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=rf"teacher\.model .*{size}\.gguf: the head of the GGUF file can't be read"):
            load_counter(TeacherSettings(backend="embedded", model=str(broken)))
    other = tmp_path / "v9.gguf"
    other.write_bytes(whole[:4] + struct.pack("<I", 9) + whole[8:])
    with pytest.raises(ValueError, match="version 9"):
        read_header(other)
