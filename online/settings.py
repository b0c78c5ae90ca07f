"""How one setting is read from the environment: each in its range, or refused by its name."""

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from schemas.errors import Misconfigured

PREFIX = "SHOPLENS_"

_ADDRESS = re.compile(r"unix:.+|fd://[0-9]+|(tcp://)?(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]*):(?P<port>[0-9]{1,5})")
_LIKENESS_MIN = 0.8

Number = TypeVar("Number", int, float)


def required(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise Misconfigured(f"{name} is not set: give it {meaning}")
    return value


def switch(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip()
    if text not in ("", "0", "1"):
        raise Misconfigured(f"{name} is {text!r}: give it 1 or 0")
    return text == "1"


def choice(environ: Mapping[str, str], name: str, default: str, choices: Collection[str]) -> str:
    text = environ.get(name, "").strip() or default
    if text not in choices:
        raise Misconfigured(f"{name} is {text[:100]!r}: give it one of {', '.join(choices)}")
    return text


def number(
    environ: Mapping[str, str],
    name: str,
    default: Number,
    parse: Callable[[str], Number],
    most: int,
    *,
    may_be_0: bool = False,
) -> Number:
    """Above 0, or 0 too where it may be; at most `most`: what is larger was never meant, and breaks a clock or a host."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = parse(text)
    except ValueError:
        raise Misconfigured(f"{name} is {text[:100]!r}: give it a number, such as {default}") from None
    if not (0 < value <= most or (may_be_0 and value == 0)):
        least = "from 0" if may_be_0 else "above 0"
        raise Misconfigured(f"{name} is {text[:100]!r}: give it a number {least}, at most {most}, such as {default}")
    return value


SECRET_MIN_BYTES = 16


def secret(environ: Mapping[str, str], name: str) -> bytes | None:
    """The bytes as they stand, which need be no text; None where it is not set. Raises Misconfigured of one that is guessed."""
    found = environ.get(name, "").encode(errors="surrogateescape")
    if 0 < len(found) < SECRET_MIN_BYTES:
        raise Misconfigured(
            f"{name} has {len(found)} bytes, which are soon guessed: give it 32 random ones (openssl rand -base64 32)"
        )
    return found or None


def addresses(environ: Mapping[str, str], name: str, default: str) -> str:
    """One that gunicorn listens on, or several by commas."""
    text = environ.get(name, "").strip() or default
    for address in text.split(","):
        found = _ADDRESS.fullmatch(address.strip())
        if found is None or int(found["port"] or 0) > 65_535:
            raise Misconfigured(
                f"{name}: {address[:100]!r} is no address: write it like {default}, unix:/run/shop.sock or fd://3"
            )
    return text


def make_folder(folder: Path, meaning: str, name: str) -> None:
    """Raises Misconfigured; `name` is what names the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"cannot make the {meaning} {folder}: {error.strerror}; give another {name}") from None


def refuse_misspelt(environ: Mapping[str, str], names: Collection[str]) -> None:
    """A setting of almost the right name does nothing, which nobody sees: without its keys a searcher is open.

    Raises Misconfigured. Other programs may have names that are not like any of ours.
    """
    endings = [name.removeprefix(PREFIX) for name in names]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in names:
            meant = get_close_matches(name.removeprefix(PREFIX), endings, n=1, cutoff=_LIKENESS_MIN)
            if meant:
                raise Misconfigured(f"{name} is no setting: {PREFIX}{meant[0]} may be meant; rename it, or take it out")
