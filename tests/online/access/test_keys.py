"""API keys: made once, stored as digests, read without surprises."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from online.access.key_command import key as key_command
from online.access.keys import KEYS, KEYS_FILE, Scope, create_key, find_key, read_keys
from schemas.errors import Misconfigured

SENT, STORED = create_key([Scope.SEARCH, Scope.CLICK], "the storefront")
OTHER_SENT, OTHER = create_key([Scope.ADMIN])


def test_a_key_is_found_by_what_was_sent() -> None:
    assert find_key([OTHER, STORED], SENT) is STORED
    assert find_key([OTHER, STORED], OTHER_SENT) is OTHER


@pytest.mark.parametrize(
    "sent",
    ["", SENT[:-1], SENT + "x", SENT.upper(), f"shoplens_{STORED.key_id}_", STORED.line, STORED.digest.hex(), "schlüssel",
     f"shoplens_{STORED.key_id}_{OTHER_SENT.split('_', 2)[2]}", f"other_{SENT.partition('_')[2]}", "\ud800"],
)  # fmt: skip
def test_nothing_else_is_a_key(sent: str) -> None:
    assert find_key([OTHER, STORED], sent) is None


def test_what_is_stored_does_not_hold_the_key() -> None:
    secret = SENT.split("_", 2)[2]
    assert secret not in STORED.line
    assert secret not in repr(STORED)
    assert STORED.digest.hex() not in repr(STORED)


def test_two_keys_are_never_the_same() -> None:
    assert len({create_key([Scope.SEARCH])[0] for _ in range(100)}) == 100


def test_a_stored_key_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# the shop's\n\n  {STORED.line}\n{OTHER.line}")
    assert read_keys({KEYS_FILE: str(tmp_path / "keys")}) == (STORED, OTHER)
    assert read_keys({KEYS: f"{STORED.line}; {OTHER.line}"}) == (STORED, OTHER)
    assert read_keys({KEYS_FILE: str(tmp_path / "keys"), KEYS: create_key([Scope.ADMIN])[1].line})[:2] == (
        STORED,
        OTHER,
    )


@pytest.mark.parametrize("name", ["shop; north", "shop;north", "shop\nnorth", ";"])
def test_a_key_is_read_back_whatever_its_name(name: str) -> None:
    stored = create_key([Scope.SEARCH], name)[1]
    assert read_keys({KEYS: f"{stored.line};{OTHER.line}"}) == (stored, OTHER)


def test_without_settings_there_are_no_keys() -> None:
    assert read_keys({}) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("# only words\n", "holds no key"),
        (SENT, "line 1: `<id> <scopes> <sha256>"),
        (f"{STORED.line}\n{STORED.line[:40]}", "line 2"),
        (STORED.line.replace("click", "clik"), "'clik' is not a valid Scope: scopes are search, click, admin"),
        (f"{STORED.line}\n{STORED.line}", f"key {STORED.key_id} is there twice"),
    ],
)
def test_a_keys_file_that_is_wrong_is_refused_rather_than_ignored(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(Misconfigured) as refused:
        read_keys({KEYS_FILE: str(tmp_path / "keys")})
    assert said in str(refused.value)
    assert SENT not in str(refused.value)


def test_a_keys_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot read"):
        read_keys({KEYS_FILE: str(tmp_path / "none")})


def test_the_command_prints_the_line_to_store_apart_from_the_key() -> None:
    done = CliRunner().invoke(key_command, ["create", "--scope", "search", "--scope", "admin", "--name", "a \n b"])
    assert done.exit_code == 0
    (stored,) = read_keys({KEYS: done.stdout})
    assert (stored.scopes, stored.name) == (frozenset({Scope.SEARCH, Scope.ADMIN}), "a b")
    sent = done.stderr.splitlines()[0].split(": ")[1]
    assert find_key([stored], sent) == stored
    assert sent not in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--scope", "everything"]])
def test_the_command_needs_a_scope_that_exists(arguments: list[str]) -> None:
    assert CliRunner().invoke(key_command, ["create", *arguments]).exit_code == 2
