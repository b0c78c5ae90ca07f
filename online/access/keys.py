"""API keys: who may search, click and administer.

A key reads `shoplens_<id>_<secret>`. Its secret is 256 random bits, so a plain SHA-256 of the key is as hard to turn
back as a slow hash would be, and costs a request nothing. Only that digest is stored, one line a key:

    <id> <scopes> <sha256> [name]
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from schemas.errors import Misconfigured

KEYS_FILE = "SHOPLENS_API_KEYS_FILE"
KEYS = "SHOPLENS_API_KEYS"
PREFIX = "shoplens"
DIVIDER = ";"
"""Stands between the lines of `SHOPLENS_API_KEYS`."""

HOW_TO_MAKE_ONE = f"make one with `shoplens key create`, and name the file with its line in {KEYS_FILE}"

_LINE = re.compile(r"(?P<id>[0-9a-f]{12})\s+(?P<scopes>[a-z,]+)\s+(?P<digest>[0-9a-f]{64})(\s+(?P<name>.+))?")


class Scope(StrEnum):
    """What a key may be used for. None of them contains another."""

    SEARCH = "search"
    CLICK = "click"
    ADMIN = "admin"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored: enough to know it again, not enough to use it."""

    key_id: str
    scopes: frozenset[Scope]
    digest: bytes = field(repr=False)
    name: str = ""

    @property
    def line(self) -> str:
        """What the keys file holds of it."""
        return " ".join(filter(None, [self.key_id, ",".join(sorted(self.scopes)), self.digest.hex(), self.name]))


def create_key(scopes: Iterable[Scope], name: str = "") -> tuple[str, ApiKey]:
    """A new key: what its owner sends, shown once, and what is stored. A name becomes part of one line."""
    key_id = secrets.token_hex(6)
    sent = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    return sent, ApiKey(key_id, frozenset(scopes), _digest(sent), " ".join(name.replace(DIVIDER, " ").split()))


def find_key(keys: Iterable[ApiKey], sent: str) -> ApiKey | None:
    """The key that was sent, or None. Digests are compared in constant time; ids are no secret."""
    prefix, _, rest = sent.partition("_")
    key_id = rest.partition("_")[0]
    digest = _digest(sent)
    named = [key for key in keys if key.key_id == key_id] if prefix == PREFIX else []
    return next((key for key in named if hmac.compare_digest(key.digest, digest)), None)


def read_keys(environ: Mapping[str, str]) -> tuple[ApiKey, ...]:
    """The keys of the file and of the environment; none where neither is set.

    Raises Misconfigured where one is set and cannot be read: a cut-off file must not open the searcher to everybody.
    """
    keys: list[ApiKey] = []
    if path := environ.get(KEYS_FILE, "").strip():
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{KEYS_FILE}: cannot read {path}: {error}") from None
        keys += _parse_lines(text, f"{KEYS_FILE} {path}")
    if text := environ.get(KEYS, "").strip():
        keys += _parse_lines(text.replace(DIVIDER, "\n"), KEYS)
    twice = {key.key_id for key in keys if sum(other.key_id == key.key_id for other in keys) > 1}
    if twice:
        raise Misconfigured(f"key {min(twice)} is there twice: remove one of its lines")
    return tuple(keys)


def _parse_lines(text: str, source: str) -> list[ApiKey]:
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    keys = [_parse_line(line, f"{source}, line {number}") for number, line in lines if line and line[0] != "#"]
    if not keys:
        raise Misconfigured(f"{source} holds no key: {HOW_TO_MAKE_ONE}")
    return keys


def _parse_line(line: str, place: str) -> ApiKey:
    found = _LINE.fullmatch(line)
    if found is None:  # the line is not shown: somebody may have pasted the key itself
        raise Misconfigured(f"{place}: `<id> <scopes> <sha256> [name]` is needed, as `shoplens key create` prints it")
    try:
        scopes = frozenset(Scope(scope) for scope in found["scopes"].split(","))
    except ValueError as error:
        raise Misconfigured(f"{place}: {error}: scopes are {', '.join(Scope)}") from None
    return ApiKey(found["id"], scopes, bytes.fromhex(found["digest"]), found["name"] or "")


def _digest(sent: str) -> bytes:
    return hashlib.sha256(sent.encode("utf-8", "surrogatepass")).digest()
