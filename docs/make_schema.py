"""Write ``docs/config.schema.json`` from the settings classes: ``python docs/make_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from limbeck.config.config import Config

PATH = Path(__file__).parent / "config.schema.json"


def make_schema() -> str:
    """The JSON Schema of the config, as the file holds it."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(make_schema(), "utf-8")
