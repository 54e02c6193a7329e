"""`limbeck doctor`: checks what this machine can do and what is missing, and says how to fix it."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from limbeck.config.config import load_config
from limbeck.data.procedural.problems import DOMAINS, draw_problem
from limbeck.data.sources import read_labelled
from limbeck.errors import ConfigError, LimbeckError
from limbeck.packaged import PACKAGED, find_packaged
from limbeck.reports.terminal import clean
from limbeck.student.model import choose_device, find_cache, has_bfloat16
from limbeck.system.event_loop import run_coroutine
from limbeck.system.versions import list_versions
from limbeck.teacher.backends import open_backend
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest

MIN_FREE_BYTES = 4 * 2**30


def examine(config: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Collect the report: versions, device, packaged models, tutor, disk, and the teacher if a config is given."""
    device = choose_device()
    free = shutil.disk_usage(Path.cwd()).free
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "versions": list_versions(),
        "device": {"type": device.type, "bfloat16": has_bfloat16(device)},
        "packaged": {f"packaged:{name}": _check(lambda name=name: str(find_packaged(name))) for name in PACKAGED},
        "tutor": _check(lambda: draw_problem(next(iter(DOMAINS)), 0, 0).question),
        "cache": str(find_cache()),
        "disk": {
            "free_bytes": free,
            "ok": free >= MIN_FREE_BYTES,
            "detail": f"a run with SmolLM2 takes about 2 GiB; {free / 2**30:.1f} GiB free",
        },
        "teacher": _ask_teacher(config, overrides) if config else {},
    }
    parts = [report["disk"], report["tutor"], *report["packaged"].values()]
    report["ok"] = all(report["versions"].values()) and all(part["ok"] for part in parts) and report["teacher"].get("ok", True)
    return report


def _check(find: Any) -> dict[str, Any]:  # noqa: ANN401 (a function that gives a detail or raises)
    try:
        return {"ok": True, "detail": find()}
    except ConfigError as error:
        return {"ok": False, "detail": str(error)}


def _ask_teacher(config: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Ask a config's teacher one small question, outside any ledger."""
    settings = load_config(config, overrides)
    if settings.data.train is None and settings.data.human is None:
        raise ConfigError("neither data.train nor data.human is set; the check asks the teacher about the first row")
    task, rows = read_labelled(settings.task, settings.data, "train" if settings.data.train else "human")
    example = rows.examples[0]
    request = TeacherRequest(
        settings.teacher.model_name,
        ({"role": "user", "content": f"{task.instruction}\n\n{example.question}"},),
        {settings.teacher.max_tokens_field: 64},
        About("annotate", 0, example.domain, (example,)),
    )
    try:
        remark, reply = run_coroutine(_ask_once(open_backend(settings.teacher, task), request))
    except (BackendError, LimbeckError) as error:
        return {"ok": False, "detail": str(error)}
    return {"ok": True, "model": reply.model, "remark": remark, "detail": reply.text[:200]}


async def _ask_once(backend: Backend, request: TeacherRequest) -> tuple[str, Reply]:
    try:
        return await backend.check(), await backend.send(request)
    finally:
        await backend.close()


def render(report: dict[str, Any]) -> None:
    """Print the report; lines of things that can be missing start with ``ok`` or ``MISS``."""
    console = Console(highlight=False)
    console.print(f"python {report['python']}")
    for name, version in report["versions"].items():
        console.print(f"{'ok  ' if version else 'MISS'} {name} {version or ''}")
    device = report["device"]
    console.print(
        f"     device {device['type']}, bfloat16 {'yes' if device['bfloat16'] else 'no'}, cache {clean(report['cache'])}"
    )
    for name, entry in [
        *report["packaged"].items(),
        ("tutor", report["tutor"]),
        ("disk", report["disk"]),
        *([("teacher", report["teacher"])] if report["teacher"] else []),
    ]:
        console.print(f"{'ok  ' if entry['ok'] else 'MISS'} {name}: {clean(entry['detail'])}")
