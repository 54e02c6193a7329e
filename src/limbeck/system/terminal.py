"""Makes text and JSON safe to print: names from a server, a model or a file can contain terminal control sequences."""

from __future__ import annotations

import json
import re


def make_printable(text: object) -> str:
    """Put text on one line and replace control characters, which could rewrite a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))


def print_json(value: object) -> None:
    """Print JSON for scripts, without anything that a terminal would obey."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON leaves DEL and the control characters from 128 on as they are, and a terminal obeys them.
    print(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))
