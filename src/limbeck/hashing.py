"""Canonical JSON and hashes, for ids, ledger keys and byte-equal files."""

from __future__ import annotations

import hashlib
import json


def canonical_json(value: object) -> str:
    """The canonical JSON text of a value: sorted keys, no spaces, non-ASCII characters kept."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def hash_text(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, in hexadecimal (64 characters)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
