"""The fuzz targets: each reader of external input with damaged input and the errors it may raise."""

from __future__ import annotations

import asyncio
import gzip
import json
import lzma
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from multidict import CIMultiDict
from tests.fuzz.answers import read_valid_answer
from tests.fuzz.mutate import TOKENS, UNITS, encode, mutate_text, mutate_value, nest
from tests.support import make_example

from limbeck.answers import equivalence
from limbeck.answers.types import ANSWERS
from limbeck.config.config import Config, load_config, make_config
from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import DuplicateGuard, LeakGuard
from limbeck.data.sources import DataSettings, read_labelled, read_questions
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.hashing import canonical_json
from limbeck.system.worker import WorkerLost
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes import prompts
from limbeck.teacher.purposes.annotate import read_annotation
from limbeck.teacher.purposes.generate import Asked, read_generated
from limbeck.teacher.purposes.prompts import load_template, render_prompt
from limbeck.teacher.purposes.synthesize import read_new_example
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings


def _lose_worker(function: str, question: object, timeout_s: float) -> Any:  # noqa: ANN401
    """Stand in for the worker that compares formulas: it may take seconds, and test_equivalence.py covers it."""
    raise WorkerLost("not asked")


@contextmanager
def hurry() -> Iterator[None]:
    """Shorten the limits of everything that is bounded only by time."""
    with patch.object(equivalence, "run_limited", _lose_worker), patch.object(prompts, "RENDER_TIMEOUT_S", 1.0):
        yield


CONFIG = """
name: math-longtail
seed: 13
profile: cpu
data: {train: train.jsonl, dev: "dev.jsonl", test: org/name:test, root: data,
       columns: {question: [q, meta.question], answer: a}, domain: column}
task: {instruction: "Solve it.", answer: label, fields: [premise, hypothesis], template: "{premise} {hypothesis}",
       labels: {a: first, b: second},
       checks: {min_chars: 3, max_chars: 30, min_distinct: 0.5}, attributes: {topic: [x, y]}}
teacher: {backend: openai_compatible, model: some-model, base_url: "http://127.0.0.1:9/v1",
          api_key_file: key, max_concurrency: 64,
          temperature: 0.7, max_tokens: 512, prices: {prompt_usd_per_mtok: 0.15, completion_usd_per_mtok: 0.60},
          templates: {annotate: a.jinja}, extra_body: {top_p: 0.9}, embedded: {slots: 4}, recorded: {annotations: r.jsonl}}
budget: {max_examples: 2100, max_requests: null, max_tokens: 10000, max_cost_usd: 5.0}
student: {model: "packaged:smollm2-135m-instruct", kind: causal}
training: {epochs: 3, learning_rate: 1.0e-3, batch_size: 8, max_length: 1024, lora: {rank: 16, alpha: 32, dropout: 0.05}}
method: {name: baldistill, preset: baldistill-a, stages: 5, quota: adaptive}
evaluation: {max_examples: null, max_new_tokens: 200}
"""
GOLD = """
name: ${LIMBECK_FUZZ_NAME:-gold}
task: &task {answer: label, fields: [text], labels: [positive, negative]}
data: {human: human.jsonl, test: test.jsonl}
teacher: {backend: embedded, model: "packaged:smollm2-135m-instruct", temperature: 0.9}
student: {kind: classifier}
training: {loss: symmetric_cross_entropy, alpha: 0.1, beta: 1.0}
method: {name: gold, rounds: 15, feedback: energy, band: [0.50, 0.75]}
"""
SETS = (
    "budget.max_examples=7",
    "data.test=mine.jsonl",
    "training.lora=null",
    "teacher.templates={annotate: x}",
    "method.band=[0.1, 0.2]",
    "task.labels=[a, b]",
    "data.root=.",
    "teacher.extra_body.top_p=0.5",
    "name='x'",
    "teacher.model=m.gguf",
)


def read_config(draw: random.Random, folder: Path) -> str:
    """Load a config file and `--set` values, damaged as text, values or bytes."""
    text = draw.choice((CONFIG, GOLD))
    path = folder / "config.yaml"
    kind = draw.random()
    if kind < 0.5:
        path.write_bytes(encode(draw, mutate_text(draw, text)))
    elif kind < 0.9:
        value = mutate_value(draw, yaml.safe_load(text.replace("${LIMBECK_FUZZ_NAME:-gold}", "gold")))
        if draw.random() < 0.3:
            return _end_config(lambda: make_config(value if isinstance(value, dict) else {"name": value}))
        try:
            dumped = json.dumps(value) if draw.random() < 0.7 else yaml.safe_dump(value, allow_unicode=True)
        except RecursionError:  # raised by the writer, not the reader
            dumped = json.dumps(value)
        path.write_bytes(dumped.encode("utf-8", "surrogatepass"))
    elif kind < 0.95:
        path.write_text(make_bomb(draw), "utf-8")
    else:
        path.write_bytes(draw.randbytes(draw.choice((0, 1, 100))))
    sets = [draw.choice(SETS) for _ in range(draw.choice((0, 0, 0, 1, 2)))]
    sets = [mutate_text(draw, one) if draw.random() < 0.7 else one for one in sets]
    preset = draw.choice((None, None, None, "gold", "balance-cot", "\0", "../x"))
    return _end_config(lambda: load_config(path, sets, preset=preset))


def make_bomb(draw: random.Random) -> str:
    """Make YAML that is a small file but a large, deep or endless value."""
    size = draw.choice((5, 9, 30))
    kind = draw.randrange(6)
    if kind == 0:
        return "name: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, size))
    if kind == 1:
        merged = (f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, size))
        return "m0: &m0 {x: 1}\n" + "".join(merged)
    if kind == 2:
        return draw.choice(
            ("name: &a [*a]", "task: &a {labels: *a}", "&a {data: *a}", "&a [*a, *a]", "data: &d {root: *d, <<: *d}")
        )
    if kind == 3:
        return "name: " + draw.choice(("[", "{a: ", "- ", "? ", "!!str ")) * draw.choice((100, 5_000))
    if kind == 4:
        return "task: {labels: " + json.dumps(nest(draw, "x")) + "}"
    return "name: " + draw.choice(UNITS) * 200_000


def _end_config(make: Any) -> str:  # noqa: ANN401 (returns a Config)
    try:
        config = make()
    except ConfigError as error:
        _check_text(str(error))
        return "refused"
    assert isinstance(config, Config)
    # A run first writes its config, and reads it again on resume.
    plain = config.model_dump(mode="json")
    written = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    written.encode("utf-8")
    assert Config.model_validate(yaml.safe_load(written)).model_dump(mode="json") == plain
    json.dumps(plain, allow_nan=False)
    return "read"


def _check_text(text: str, most: int = 20_000) -> None:
    text.encode("utf-8")
    assert len(text) < most, f"a message of {len(text)} characters"


ROWS: tuple[dict[str, Any], ...] = (
    {
        "domain": "gcd",
        "question": "Of 12 and 18, find the greatest common divisor.",
        "answer": "6",
        "rationale": "12 = 2 × 6.",
        "meta": {"source": "x"},
    },
    {"domain": "b", "question": "Calculate 2 + 2.", "answer": 4, "answer_type": "number", "source": "s"},
    {"domain": "c", "question": "Which?\n(A) one (B) two", "answer": "(B)", "answer_type": "letter"},
    {
        "domain": "d",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "2 + 2"},
            {"role": "assistant", "content": "4"},
        ],
    },
    {
        "domain": "e",
        "prompt": [{"role": "user", "content": "2 + 3"}],
        "completion": [{"role": "assistant", "content": "So. The answer is: 5"}],
    },
    {"domain": "f", "question": "Half of one?", "answer": "\\frac{1}{2}", "answer_type": "latex"},
    {
        "domain": "g",
        "question": "A program",
        "answer": "Maximize 2x + 3y subject to x + y <= 4, x >= 0",
        "answer_type": "formulation",
    },
    {"domain": "h", "question": "An equation", "answer": "x = (2 + 3) * 4", "answer_type": "equation"},
    {"domain": "i", "question": "A word", "answer": "blue", "answer_type": "text"},
    {"domain": "j", "question": "Which?", "choices": ["one", "two"], "answer": 1, "answer_type": "choice"},
    {"domain": "k", "question": {"stem": "Which?", "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]}},
    {"domain": "l", "question": "Which?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"},
    {"domain": "m", "question": "Where?", "answers": {"text": ["Paris", "paris"], "answer_start": [0, 0]}},
    {"domain": "n", "instruction": "Add.", "input": "", "output": "3"},
    {"domain": "o", "input": "1 + 1", "target_scores": {"2": 1, "3": 0}},
    {"domain": "p", "conversations": [{"from": "human", "value": "2 + 2"}, {"from": "gpt", "value": "<think>4.</think>4"}]},
    {"domain": "q", "question": "Missing?", "answer": float("nan"), "rationale": ["a", "b"]},
)
TASKS = (
    Task(answer="number"),
    Task(answer="text", answer_prefix="#### "),
    Task(answer="label", labels={"6": "", "4": "", "blue": "a colour"}),
    Task(answer="label"),
    Task(answer="math", fields=("question", "domain"), template="{question} {domain}"),
    Task(answer="formulation", answer_prefix="Answer"),
)
SETTINGS = (
    DataSettings(),
    DataSettings(domain="answer"),
    DataSettings(domain="none"),
    DataSettings(columns={"question": ["q", "meta.source", "question"], "answer": "meta.a.b"}),
)


def read_rows(draw: random.Random, folder: Path) -> str:
    """Read a data file of a few rows as examples, labels and questions, and write them as a run does."""
    rows = [draw.choice(ROWS) for _ in range(draw.choice((1, 2, 3)))]
    ending = draw.choice((".jsonl", ".jsonl", ".jsonl", ".json", ".csv", ".tsv"))
    pack = draw.choice((None, None, None, None, gzip.compress, lzma.compress))
    if draw.random() < 0.6:
        rows = [mutate_value(draw, row) for row in rows]
    if ending in (".csv", ".tsv"):
        names = ["domain", "question", "answer", *draw.choice(([], ["rationale"], ["meta"], ["answer_type"]))]
        sign = "," if ending == ".csv" else "\t"
        lines = [names, *([str(row.get(name, "")) if isinstance(row, dict) else str(row) for name in names] for row in rows)]
        text = "\n".join(sign.join(f'"{cell}"' if draw.random() < 0.5 else cell for cell in line) for line in lines)
    elif ending == ".json" and draw.random() < 0.7:
        text = json.dumps(rows)
    else:
        text = "\n".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows) + "\n"
    path = folder / f"rows{ending}{draw.choice(('', '.gz', '.xz', '.zst')) if pack else ''}"
    content = encode(draw, mutate_text(draw, text) if draw.random() < 0.6 else text)
    if pack:
        packed = pack(content)
        content = packed[: draw.randrange(len(packed))] if draw.random() < 0.2 else packed
    path.write_bytes(content)
    task, settings = draw.choice(TASKS), draw.choice(SETTINGS)
    end = "refused"
    settings = settings.model_copy(update={"train": str(path)})
    try:
        examples = read_labelled(task, settings)[1].examples
        for example in examples:
            line = canonical_json(example.to_json()).encode("utf-8")
            assert Example.from_json(json.loads(line)) == example or b"NaN" in line
            LeakGuard([(e.id, e.question) for e in examples], [example.question]).find_leak(example.question)
            DuplicateGuard(examples).find_duplicate(example.question, example.answer_type)
        end = "read"
    except (DataError, ConfigError) as error:
        _check_text(str(error))
    try:
        for row, _, _ in read_questions(path, task, settings):
            canonical_json(row).encode("utf-8")
    except DataError as error:
        _check_text(str(error))
    return end


TEXTS = (
    "First 12 = 2 × 6. Then 18 = 3 × 6.\nSo the greatest common divisor is 6.\n\n**The answer is: 6**",
    "<think>Adding.</think>One adds them up, digit by digit.\nSo the answer is 4.",
    "Question: Calculate 7 + 1.\nRationale: One more than 7.\nThe answer is: 8",
    '```json\n{"question": "Calculate 7 + 1.", "rationale": "One more \\frac{1}{2}.", "answer": "8"}\n```',
    "A moving film with a brilliant cast that stays with you for days.",
    '1. "The story is flat, and its ending is worse."',
    "Premise: A man sleeps.\nHypothesis: A man is awake.\nThe answer is: no",
    "Maximize 2x + 3y\nsubject to\n- x + y <= 4\n- x >= 0",
    "Therefore \\boxed{\\frac{1}{2}} is what remains, since $x = 1/2$.",
    "The answer is (B) because the others are wrong. A or C can't be.",
    "x = (2 + 3) * 4 = 20",
    "I'm sorry, but I can't help with that.",
)
ANSWERED = (
    Task(answer="number"),
    Task(answer="label", labels={"positive": "praises", "negative": ""}, fields=("text",)),
    Task(answer="label", labels={"yes": "", "no": ""}, fields=("premise", "hypothesis"), template="{premise} / {hypothesis}"),
    Task(answer="text", answer_prefix="Answer"),
    Task(answer="choice"),
    Task(answer="equation"),
    Task(answer="formulation", answer_prefix="Program:"),
    Task(answer="math", checks={"span_of": "question", "numbers_in": "question"}),  # type: ignore[arg-type]
)


def judge_reply(draw: random.Random, folder: Path) -> str:
    """Pass a teacher's reply through every answer reader and judge: each gives an example or a reason, never an error."""
    text = draw.choice(TEXTS)
    if draw.random() < 0.95:
        text = mutate_text(draw, text)
    if draw.random() < 0.1:
        place = draw.randint(0, len(text))
        text = text[:place] + draw.choice(UNITS) * 20_000 + draw.choice((*UNITS, "x", "The answer is: 6")) + text[place:]
    task = draw.choice(ANSWERED)
    said = Reply(text, "m", draw.choice(("stop", "stop", "stop", "length", "x")), reasoning=draw.choice(("", text)))
    fields = dict.fromkeys(task.fields, "Calculate 2 + 2.")
    gold = {"number": "4", "label": "no", "choice": "B", "math": "\\frac{1}{2}", "equation": "2 + 2"}.get(task.answer, "blue")
    shown = Example("0" * 16, "d", fields, "Calculate 2 + 2.", gold, task.answer)
    ends = []
    for purpose in ("annotate", "synthesize"):
        request = TeacherRequest(
            "m", ({"role": "user", "content": "Write one."},), {"max_tokens": 9}, About(purpose, 0, "no", (shown,))
        )
        outcome = Outcome(request, said)
        if purpose == "annotate":
            policy = draw.choice(("reject", "keep_teacher"))
            ends.append(read_annotation(outcome, task, is_hinted=True, on_mismatch=policy, takes_reasoning=draw.random() < 0.3))
        else:
            ends.append(read_new_example(outcome, task, is_domain_answer=draw.random() < 0.3))
            for is_label_asked in (True, False):
                ends.append(read_generated(outcome, Asked(task, ["no"], is_label_asked, False)))
    for end in ends:
        assert isinstance(end, Example | Rejected)
        canonical_json(end.to_json()).encode("utf-8")
        if isinstance(end, Example):
            LeakGuard([("x", end.question)], []).find_leak(text)
            DuplicateGuard([end]).find_duplicate(text, end.answer_type)
    labels = tuple(task.labels)
    for kind in ANSWERS.values():
        read, last = kind.read(said.text, labels), kind.find_last(said.text, labels)
        for found in (read, last, kind.extract(said.text, labels, task.marker)):
            assert found is None or (isinstance(found, str) and found.strip())
        kind.equal(read or said.text, last or gold)
    return "kept" if any(isinstance(end, Example) for end in ends) else "rejected"


REPLY: dict[str, Any] = {
    "id": "c1",
    "model": "served-model",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "So. The answer is: 4", "refusal": None},
        }
    ],
    "usage": {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "completion_tokens_details": {"reasoning_tokens": 3},
        "prompt_tokens_details": {"cached_tokens": 2},
    },
}
REFUSAL: dict[str, Any] = {
    "error": {"message": "slow down", "type": "invalid_request_error", "code": 429, "param": "max_tokens"}
}
MODELS: dict[str, Any] = {"object": "list", "data": [{"id": "served-model"}, {"id": "other"}]}
STATUSES = (
    *[200] * 40,
    201,
    204,
    206,
    301,
    302,
    307,
    400,
    401,
    402,
    403,
    404,
    405,
    408,
    409,
    413,
    422,
    425,
    429,
    500,
    502,
    503,
    504,
    524,
    599,
    999,
)
HEADERS = (
    "Retry-After",
    "retry-after-ms",
    "Location",
    "Content-Type",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-limit-requests",
    "anthropic-ratelimit-requests-remaining",
    "Date",
    "RateLimit-Reset",
)
HEADER_VALUES = (
    "1",
    "0.5",
    "-1",
    "nan",
    "inf",
    "1e999",
    "9" * 400,
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "Wed, 99 Oct 99999 07:28:00 GMT",
    "text/html",
    "application/json; charset=utf-8",
    "http://x\x1b[31m",
    "",
    "1s",
    "6m0s",
    "\ud800",
    "20ms",
    "é",
)
KEY = "sk-fuzz-0123456789"


class CannedBackend(OpenAIBackend):
    """The client with canned server answers instead of a connection."""

    def __init__(self, settings: TeacherSettings, answers: list[tuple[int, Mapping[str, str], bytes]]) -> None:
        super().__init__(settings)
        self._key, self._answers = KEY, answers

    async def _call(self, *arguments: Any, **options: Any) -> tuple[int, Mapping[str, str], bytes]:  # noqa: ANN401
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def read_server(draw: random.Random, folder: Path) -> str:
    """Pass server answers through the client's `send` and `check`: each gives a storable reply or a `BackendError`."""
    settings = TeacherSettings(
        backend="openai_compatible", model="served-model", base_url="http://127.0.0.1:9/v1", max_tokens=50
    )
    backend = CannedBackend(settings, [make_answer(draw) for _ in range(3)])
    request = TeacherRequest(
        "served-model", ({"role": "user", "content": "2 + 2"},), {"max_tokens": 50}, About("annotate", 0, "d")
    )
    return asyncio.run(_exchange(backend, request))


async def _exchange(backend: OpenAIBackend, request: TeacherRequest) -> str:
    end = "replied"
    try:
        reply = await backend.send(request)
        canonical_json(asdict(reply)).encode("utf-8")
        check_stored(reply)
    except BackendError as error:
        end = "failed"
        check_error(error)
    try:
        remark = await backend.check()
        _check_text(remark, 3_000)
        assert KEY not in remark
    except BackendError as error:
        check_error(error)
    return end


def check_error(error: BackendError) -> None:
    """Check that an error's message is short, encodable and without the key, and that its wait is a valid time."""
    _check_text(str(error), 3_000)
    assert KEY not in str(error)
    assert error.retry_after_s is None or 0 <= error.retry_after_s < float("inf")


def check_stored(reply: Reply) -> None:
    """Check that a reply's parts have the right types, can be written, and do not contain the key."""
    for name, value in asdict(reply).items():
        if name.endswith("_tokens"):
            assert isinstance(value, int), name
            assert 0 <= value < 2**63, name
        else:
            assert isinstance(value, str), name
            value.encode("utf-8")
            assert KEY not in value, name


def make_answer(draw: random.Random) -> tuple[int, Mapping[str, str], bytes]:
    """Make the status, headers and body of one answer."""
    value: Any = draw.choice((REPLY, REPLY, REPLY, REFUSAL, MODELS))
    if draw.random() < 0.8:
        value = mutate_value(draw, value)
    if draw.random() < 0.05:
        value = nest(draw, value)
    text = json.dumps(value, ensure_ascii=draw.random() < 0.5)
    kind = draw.random()
    if kind < 0.1:
        text = text.replace("served-model", KEY).replace("slow down", f"no {KEY}").replace("stop", KEY)
    elif kind < 0.4:
        text = mutate_text(draw, text, (*TOKENS, KEY))
    elif kind < 0.45:
        text = draw.choice(
            (
                "<html>Welcome</html>",
                "",
                "null",
                "[]",
                '""',
                "0",
                "[" * 100_000,
                '{"a":' * 100_000,
                '{"choices": [' * 2_000,
                "data: {}\n\n",
            )
        )
    headers = CIMultiDict({"Content-Type": "application/json"})
    for _ in range(draw.choice((0, 0, 1, 2))):
        headers[draw.choice(HEADERS)] = draw.choice((*HEADER_VALUES, f"http://x/{KEY}"))
    return draw.choice(STATUSES), headers, encode(draw, text)


TEMPLATES = (
    *(path.read_text("utf-8") for path in sorted((Path(prompts.__file__).parent / "templates").glob("*.jinja"))),
    "Q: {{ question }}\n{% for name in fields %}{{ name|upper }}: {{ seeds[0].fields[name] }}\n{% endfor %}{{ answer or 0 }}",
)
SNIPPETS = (
    "{{ ''.__class__.__mro__ }}",
    "{{ question.__init__.__globals__ }}",
    "{{ seeds[0].__dict__ }}",
    "{{ seeds.append(1) }}",
    "{{ cycler.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum() }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ namespace.__init__ }}",
    "{{ missing }}",
    "{{ question|attr('__class__') }}",
    "{{ '%s' % question }}",
    "{{ '{0.__class__}'.format(question) }}",
    "{{ question.format(1) }}",
    "{{ 1 / 0 }}",
    "{{ 1 + 'a' }}",
    "{{ question[99] }}",
    "{{ question.x.y }}",
    "{{ none.x }}",
    "{% include 'x' %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set question = question * 3 %}",
    "{% for a in question %}{{ a }}{% else %}{% endfor %}",
    "{{ question|nosuch }}",
    "{{ question is nosuch }}",
    "{{ question|replace('a', 'b')|int }}",
    "{{ seeds|map(attribute='question')|join }}",
    "{{ '\\ud800' }}",
    "{% for i in range(10) recursive %}{{ loop([i]) }}{% endfor %}",
    "{% raw %}",
    "{#",
    "{{ '%d'|format('x') }}",
    "{{ question|round }}",
    "{{ (1).__class__ }}",
    "{{ labels.items() }}",
    "{{ range('a') }}",
    "{{ dict(a=1, **{'b': 2}) }}",
    "{{ question() }}",
    "{{ caller() }}",
    "{{ super() }}",
    "{% break %}",
    "{{ [1, 2][1:'a'] }}",
    "{{ 'a' < 1 }}",
    "{{ {}[[]] }}",
    "{{ -question }}",
    "{{ question|tojson }}",
    "{{ seeds[0]|pprint }}",
    "{{ joiner()() }}",
)
BOMBS = (
    "{{ 9 ** (9 ** 9) }}",
    "{{ 'a' * 10 ** 10 }}",
    "{{ range(10 ** 9)|list }}",
    "{{ '%10000000000d'|format(1) }}",
    "{{ 'a'.ljust(10 ** 10) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ '{:10000000000}'.format(1) }}",
    "{{ question|center(10 ** 10) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(200) }}",
    "{{ lipsum(n=10 ** 9) }}",
    "{{ [1]|batch(10 ** 9, 1)|list }}",
    "{% set s = 'aaaaaaaaaa' %}" + "{% set s = s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s %}" * 12 + "{{ s }}",
    "{{ " + "(" * 3_000 + ")" * 3_000 + " }}",
    "{% for a in range(99999) %}{{ question * 100 }}{% endfor %}",
    "{{ 1|round(10 ** 9) }}",
    "{% if a %}" * 400,
    "{{ question|indent(10 ** 10) }}",
)
BOMB_SHARE = 0.005


def render_template(draw: random.Random, folder: Path) -> str:
    """Render a user's template with the values that prompts get: the result is a prompt or a `ConfigError`."""
    if draw.random() < BOMB_SHARE:
        text = draw.choice(BOMBS)
    else:
        text = draw.choice(TEMPLATES)
        if draw.random() < 0.6:
            start = draw.randint(0, len(text))
            text = text[:start] + draw.choice(SNIPPETS) + text[start:]
        if draw.random() < 0.6:
            text = mutate_text(draw, text, (*TOKENS, *SNIPPETS))
    path = folder / f"{draw.randrange(2**40)}.jinja"
    path.write_bytes(encode(draw, text))
    shown = tuple(make_example(mutate_text(draw, "Calculate 2 + 2."), "4", rationale="Two and two.") for _ in range(2))
    values = {
        "instruction": "Solve it.",
        "labels": "",
        "question": shown[0].question,
        "answer": draw.choice((None, "4")),
        "answer_prefix": "The answer is: ",
        "domain": "d",
        "seeds": shown,
        "fields": ("question",),
        "is_json": False,
        "names": ["a", "b"],
        "noun": "example",
        "label": None,
        "meaning": "",
        "attributes": {"topic": "x"},
        "is_unlike": True,
        "is_label_asked": False,
        "is_first": True,
        "parts": ["question", ""],
    }
    try:
        prompt = render_prompt(load_template("annotate", path), "annotate", **values)
    except ConfigError as error:
        _check_text(str(error))
        return "refused"
    finally:
        path.unlink()
    assert isinstance(prompt, str)
    prompt.encode("utf-8")
    assert len(prompt) <= prompts.MAX_PROMPT_CHARS
    assert "<class" not in prompt
    return "rendered"


TARGETS = {
    "answers": read_valid_answer,
    "config": read_config,
    "judges": judge_reply,
    "rows": read_rows,
    "server": read_server,
    "templates": render_template,
}
"""The fuzz targets by name."""
