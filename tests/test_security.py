"""The claims of SECURITY.md: the key, hostile texts, weights and archives, and what the source never does."""

from __future__ import annotations

import ast
import json
import os
import pickle  # makes the hostile files of these tests
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import Loopback, Reaction, chat, refuse
from tests.support import ROOT, Zygote, make_sums, write_rows

from limbeck.data.readers import read_rows
from limbeck.errors import ConfigError, DataError
from limbeck.hashing import hash_text
from limbeck.student.model import load_student
from limbeck.student.settings import StudentSettings

SOURCES = sorted((ROOT / "src").rglob("*.py"))
KEY = "sk-marked-0123456789-abcdef"
HTTP = ("--set", "teacher.backend=openai_compatible", "--set", "teacher.model=served-model")
Project = Callable[..., Path]
# Characters that a terminal interprets: C0 except the line feed, DEL, C1, and those that change text direction.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def limbeck(zygote: Zygote, *arguments: object, home: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with all its caches below `home`, so that everything it writes can be searched."""
    places = {
        "HOME": home,
        "XDG_CACHE_HOME": home / "cache",
        "HF_HOME": home / "hf",
        "LIMBECK_CACHE": home / "limbeck",
        "TMPDIR": home,
    }
    home.mkdir(exist_ok=True)
    return zygote.complete(*arguments, cwd=home, env={**{name: str(place) for name, place in places.items()}, **environment})


def find_key(place: Path, *outputs: bytes) -> list[str]:
    """Return the files below a folder, and the outputs by number, that contain the key."""
    files = [str(file) for file in place.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    return [*files, *(f"output {number}" for number, said in enumerate(outputs) if KEY.encode() in said)]


def answer(body: dict[str, Any], *, said: str = "", model: str = "served-model") -> dict[str, Any]:
    """Make a valid reply that also contains `said`; it invents a sum if the prompt gives no answer."""
    prompt = body["messages"][0]["content"]
    given = re.search(r"The correct answer is (\d+)\.", prompt)
    number = int(hash_text(prompt)[:6], 16)
    text = (
        f"One adds them up, {said} digit by digit.\nThe answer is: {given[1]}"
        if given
        else f"Question: Calculate {number} + 1 {said}.\nRationale: One more than {number}. {said}\nThe answer is: {number + 1}"
    )
    return {**chat(text), "model": model}


def echo(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
    """Act as a server that repeats the key wherever it can."""
    reactions = {
        0: Reaction(refuse(f"slow down, Bearer {KEY}", code=KEY), 429, {"Retry-After": "0.01", "x-seen": KEY}),
        1: Reaction(f'{{"choices": [{{"mess {KEY}'),
        2: Reaction(refuse(KEY), 500),
        3: Reaction({"error": {"message": [KEY], "param": KEY}}),
    }
    if number in reactions:
        return reactions[number]
    reply = answer(body, said=KEY, model=f"model-{KEY}")
    reply["choices"][0]["message"]["reasoning_content"] = f"I was given {KEY}"
    return reply


@pytest.mark.parametrize("is_file", [False, True], ids=["environment", "file"])
def test_the_key_is_written_nowhere(zygote: Zygote, project: Project, is_file: bool) -> None:
    """Nothing that a run, its reports or its errors write contains the key, even if the server repeats it."""
    path = project(budget={"max_examples": 9, "max_requests": 200})
    home = path.parent
    safe = home.parent / f"{home.name}-key"
    safe.write_text(f"{KEY}\n")
    safe.chmod(0o600)
    environment = {} if is_file else {"MARKED_KEY": KEY}
    how = f"teacher.api_key_file={safe}" if is_file else "teacher.api_key_env=MARKED_KEY"
    run = home / "run"
    with Loopback(echo) as server:
        options = (*HTTP, "--set", f"teacher.base_url={server.url}", "--set", how, "--set", "teacher.reasoning=rationale")
        done = limbeck(zygote, "run", path, "--out", run, *options, home=home, **environment)
        outputs = [done.stdout, done.stderr]
        assert done.returncode == 0, done.stderr
        assert server.seen[0][0]["Authorization"] == f"Bearer {KEY}"
        for command in (
            ("plan", path, *options),
            ("doctor", path, *options),
            ("doctor", path, "--json", *options),
            ("status", run),
            ("status", run, "--json"),
            ("ledger", run),
            ("ledger", run, "--state", "all"),
            ("ledger", run, "--state", "all", "--json"),
        ):
            said = limbeck(zygote, *command, home=home, **environment)
            assert said.returncode in (0, 2), said.stderr  # 2: doctor, if a packaged model is not installed
            outputs += [said.stdout, said.stderr]
    safe.unlink()
    assert len([file for file in run.rglob("*") if file.is_file()]) > 20
    assert not find_key(home, *outputs)


@pytest.mark.parametrize(
    "reaction",
    [
        Reaction(refuse(f"no {KEY}"), 401),
        Reaction("", 302, {"Location": f"http://127.0.0.1:9/?key={KEY}"}),
        Reaction("<html>", 200, {"Content-Type": f"text/html; {KEY}"}),
        Reaction({"data": [{"id": KEY}]}, 200),
        Reaction(KEY, 200),
    ],
    ids=["refusal", "redirect", "content type", "model name", "body"],
)
def test_no_error_repeats_the_key(zygote: Zygote, project: Project, reaction: Reaction) -> None:
    """No error or remark repeats the key, even if the server does in any part of its answer."""
    path = project()
    with Loopback(lambda number, body: Reaction(refuse(KEY), 404), models=reaction) as server:
        options = (*HTTP, "--set", f"teacher.base_url={server.url}", "--set", "teacher.api_key_env=MARKED_KEY")
        outputs = []
        for command in (("run", path, "--out", path.parent / "run", *options), ("doctor", path, "--json", *options)):
            done = limbeck(zygote, *command, home=path.parent, MARKED_KEY=KEY)
            assert done.returncode in (2, 4), done.stderr
            outputs += [done.stdout, done.stderr]
    assert not find_key(path.parent, *outputs)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_key_file_that_others_can_open_is_refused(zygote: Zygote, project: Project, mode: int) -> None:
    """A key file with any permission for group or others is refused with the remedy."""
    path = project()
    file = path.parent / "key"
    file.write_text(KEY)
    file.chmod(mode)
    options = (*HTTP, "--set", "teacher.base_url=http://127.0.0.1:9/v1", "--set", f"teacher.api_key_file={file}")
    done = limbeck(zygote, "run", path, *options, home=path.parent)
    assert done.returncode == 2
    assert b"can be read by others; run chmod 600 on it" in done.stderr
    file.unlink()
    assert not find_key(path.parent, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "override",
    [f"teacher.api_key={KEY}", f"teacher.base_url=https://user:{KEY}@host/v1", f"teacher.base_url=https://host/v1?key={KEY}"],
)
def test_a_key_in_the_config_is_refused_and_not_repeated(zygote: Zygote, project: Project, override: str) -> None:
    """A key in the config is refused in a message that does not repeat it."""
    path = project()
    done = limbeck(zygote, "run", path, *HTTP, "--set", override, home=path.parent)
    assert done.returncode == 2
    assert not find_key(path.parent, done.stdout, done.stderr)


HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07 \x9b2J \r over \x08 [bold red]markup[/] [/] {0.__class__} %s %n {{ 7 * 7 }} {% for %} "
    "${HOME} $(id) `id` "
    "<script>alert(1)</script> ../../etc/passwd \u202e reversed \x00 \x7f"
)


def list_files(place: Path) -> set[Path]:
    return {file for file in place.rglob("*") if file.is_file()}


def test_hostile_text_reaches_no_terminal_and_no_path(zygote: Zygote, project: Project) -> None:
    """Control characters, markup and paths in domains, replies, model names and errors stay mere text."""
    path = project()
    home = path.parent
    domains = ("../../escape", f"a/b {HOSTILE}", "[/red]")
    for name, start in (("train", 0), ("test", 5000)):
        rows = make_sums(dict.fromkeys(domains, 6 if name == "train" else 2), start=start)
        write_rows(home / f"{name}.jsonl", rows)
    faults = [
        Reaction(refuse(HOSTILE), 429, {"Retry-After": "0.01"}),
        Reaction(HOSTILE.encode()),
        Reaction(refuse(HOSTILE), 400),
    ]

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return faults[number] if number < len(faults) else answer(body, said=HOSTILE, model=f"served {HOSTILE}")

    run = home / "run"
    before = list_files(home.parent)
    with Loopback(react, models=(HOSTILE,)) as server:
        options = (*HTTP, "--set", f"teacher.base_url={server.url}", "--set", "teacher.max_attempts=2")
        done = limbeck(zygote, "run", path, "--out", run, *options, home=home)
        assert done.returncode == 0, done.stderr
        outputs = {"run": done.stdout + done.stderr}
        assert b"does not list model" in done.stderr
        for command in (
            ("status", run),
            ("ledger", run),
            ("ledger", run, "--state", "all"),
            ("plan", path, *options),
            ("doctor", path, *options),
        ):
            said = limbeck(zygote, *command, home=home)
            outputs[" ".join(map(str, command[:1]))] = said.stdout + said.stderr
        rows = write_rows(home / "new.jsonl", [{"question": HOSTILE, "note": HOSTILE}])
        said = limbeck(zygote, "predict", run / "student", rows, "--out", home / "out.jsonl", home=home)
        assert said.returncode == 0, said.stderr
        outputs["predict"] = said.stdout + said.stderr
    for command, output in outputs.items():
        found = CONTROL.search(output.decode("utf-8").replace("\r\n", "\n"))
        assert found is None, f"{command}: {found[0]!r} in {output!r}"
    made = list_files(home.parent) - before
    outside = {file for file in made if run not in file.parents and home not in file.parents}
    assert not outside
    elsewhere = {file.relative_to(home).parts[0] for file in made if run not in file.parents}
    assert elsewhere <= {"new.jsonl", "out.jsonl", "cache", "hf", "limbeck"}
    kept = [json.loads(line) for line in (run / "train.jsonl").read_text("utf-8").split("\n") if line]
    assert any(
        "{0.__class__}" in row["completion"][0]["content"] and "{{ 7 * 7 }}" in row["completion"][0]["content"] for row in kept
    )
    assert not any(
        "49" in row["completion"][0]["content"].split("$")[0] for row in kept if "49" not in row["prompt"][-1]["content"]
    )


def test_json_for_scripts_holds_no_control_character(zygote: Zygote, project: Project) -> None:
    """`--json` escapes control characters, since its output is also read in terminals."""
    path = project()
    write_rows(path.parent / "train.jsonl", make_sums({"a \x9b2J \x7f": 12}))
    write_rows(path.parent / "test.jsonl", make_sums({"a \x9b2J \x7f": 2}, start=5000))
    said = limbeck(zygote, "plan", path, "--json", home=path.parent)
    assert said.returncode == 0, said.stderr
    assert CONTROL.search(said.stdout.decode("utf-8")) is None


class _Touch:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("is_adapter", [False, True], ids=["model", "adapter"])
def test_pickled_weights_are_refused_and_not_opened(tmp_path: Path, tiny_folder: Path, is_adapter: bool) -> None:
    """A student or adapter with pickled weights is refused in one line, and none of it is executed."""
    folder = tmp_path / "student"
    shutil.copytree(tiny_folder, folder)
    mark = tmp_path / "was-here"
    if is_adapter:
        config = {
            "peft_type": "LORA",
            "r": 2,
            "lora_alpha": 4,
            "target_modules": ["q_proj"],
            "base_model_name_or_path": str(tiny_folder),
        }
        (folder / "adapter_config.json").write_text(json.dumps(config))
    else:
        (folder / "model.safetensors").unlink()
    (folder / ("adapter_model.bin" if is_adapter else "pytorch_model.bin")).write_bytes(pickle.dumps(_Touch(mark)))
    for arguments in ((StudentSettings(model=str(folder)),), (StudentSettings(model=str(tiny_folder)), folder)):
        with pytest.raises(ConfigError, match="can't be loaded"):
            load_student(*arguments)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 100, b"[]", b'{"model_type": "llama", "hidden_size": "x"}'],
    ids=["empty", "bytes", "list", "wrong"],
)
def test_broken_student_files_are_one_line(tmp_path: Path, tiny_folder: Path, name: str, content: bytes) -> None:
    """A student with a broken file is a one-line config error, whatever the libraries raise."""
    folder = tmp_path / "student"
    shutil.copytree(tiny_folder, folder)
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match="can't be loaded") as caught:
        load_student(StudentSettings(model=str(folder)))
    assert "\n" not in str(caught.value)


def start_in_terminal(*arguments: object, timeout_s: float = 120) -> tuple[int, bytes]:
    """Run a command in its own terminal, answer every question with "y", and return its exit status and output."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-m", "limbeck", *map(str, arguments)])  # noqa: S606
    said = b""
    try:
        while select.select([terminal], [], [], timeout_s)[0]:
            try:
                chunk = os.read(terminal, 65_536)
            except OSError:  # the other end is closed
                break
            said += chunk
            if b"Do you wish" in chunk:
                os.write(terminal, b"y\n")
        else:
            os.kill(process, signal.SIGKILL)
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_models_own_code_is_not_run(zygote: Zygote, project: Project, tiny_folder: Path, is_terminal: bool) -> None:
    """A model with its own Python code is refused, without asking whether to run it."""
    path = project()
    folder = path.parent / "student"
    shutil.copytree(tiny_folder, folder)
    mark = path.parent / "was-here"
    (folder / "modeling_x.py").write_text(f"open({str(mark)!r}, 'w')\nclass XConfig: pass\nclass XModel: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "not-known",
        "auto_map": {"AutoConfig": "modeling_x.XConfig", "AutoModelForCausalLM": "modeling_x.XModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    command = ("run", path, "--out", path.parent / "run", "--set", f"student.model={folder}")
    if is_terminal:
        code, said = start_in_terminal(*command)
        assert b"Do you wish" not in said
    else:
        code = limbeck(zygote, *command, home=path.parent).returncode
    assert code == 2
    assert not mark.exists()


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_archives_are_not_unpacked(zygote: Zygote, project: Project, tiny_folder: Path, ending: str) -> None:
    """An archive given as data or as a student is refused without a traceback, and nothing is unpacked."""
    path = project()
    archive = path.parent / f"packed.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(path.parent / "train.jsonl", "unpacked.jsonl")
            packed.write(tiny_folder / "config.json", "unpacked/config.json")
    else:
        with tarfile.open(archive, "w:gz" if ending.endswith("gz") else "w") as bundle:
            bundle.add(path.parent / "train.jsonl", "unpacked.jsonl")
            bundle.add(tiny_folder / "config.json", "unpacked/config.json")
    with pytest.raises(DataError, match="unknown file format"):
        list(read_rows(archive))
    for key, code in (("data.train", 3), ("student.model", 2)):
        done = limbeck(zygote, "run", path, "--out", path.parent / "run", "--set", f"{key}={archive}", home=path.parent)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
    assert not [file for file in path.parent.rglob("*") if "unpacked" in file.name]


FORBIDDEN_IMPORTS = {"pickle", "dill", "shelve", "marshal", "cloudpickle", "joblib", "zipfile", "tarfile", "code", "runpy"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    ("os", "system"),
    ("os", "popen"),
    ("torch", "load"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("shutil", "unpack_archive"),
    ("np", "load"),
    ("numpy", "load"),
    ("multiprocessing", "get_context"),
    ("multiprocessing", "Pipe"),
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_the_source_runs_no_text(path: Path) -> None:
    """No source file evaluates text, unpickles, unpacks, starts a shell, loads unsafe weights, or trusts remote code."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        place = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                {alias.name.split(".")[0] for alias in node.names}
                if isinstance(node, ast.Import)
                else {(node.module or "").split(".")[0]}
            )
            assert not names & FORBIDDEN_IMPORTS, place
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_NAMES, place
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            assert (node.func.value.id, node.func.attr) not in FORBIDDEN_CALLS, place
        for keyword in node.keywords:
            is_true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            assert not (keyword.arg in ("shell", "trust_remote_code") and is_true), place
            assert not (keyword.arg in ("use_safetensors", "verify_ssl", "ssl") and not is_true), place
