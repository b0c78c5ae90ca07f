"""JSON that knows its own SHA-256: a manifest vouches for its files, and this vouches for the manifest.

A flipped bit in a number of JSON gives another number and no error.
"""

import hashlib
import json
from typing import Any

from schemas.errors import Corrupt

CHECKSUM = "checksum"


def to_checked_json(fields: dict[str, Any]) -> bytes:
    """The fields, sorted, with their checksum among them: equal fields are equal bytes."""
    return _dump({**fields, CHECKSUM: _sha256(fields)})


def without_checksum(fields: dict[str, Any], key: str) -> dict[str, Any]:
    """The fields that were given to `to_checked_json`. Raises Corrupt where they are others now."""
    rest = {name: value for name, value in fields.items() if name != CHECKSUM}
    if fields.get(CHECKSUM) != (actual := _sha256(rest)):
        raise Corrupt(key, f"checksum {str(fields.get(CHECKSUM, 'none'))[:12]}", actual[:12])
    return rest


def _sha256(fields: dict[str, Any]) -> str:
    """Of what is read back from JSON, where tuples have become lists."""
    return hashlib.sha256(_dump(fields)).hexdigest()


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, indent=1).encode()
