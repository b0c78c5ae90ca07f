"""Whether an object store keeps the promises that publishing rests on, tried on keys under `doctor/<random>/`.

CURRENT moves by compare-and-swap: of two writers that both saw the old pointer exactly one may win, or a generation is
lost. A server that takes If-Match and If-None-Match and ignores them looks just like one that honours them until two
publishers meet; so two writers are made to meet, several times.
"""

import threading
import uuid

from retrieval.diagnosis.findings import Finding, found_by, ok, raised, wrong
from retrieval.store.objects import ObjectStore
from schemas.errors import PreconditionFailed, ShopLensError

ROUNDS = 10
_REMEDY = "use a store with conditional writes, such as S3 itself: here two publishers would lose generations"
_READING_REMEDY = "use a store that is consistent, such as S3 itself: here readers would see old pointers"
_MEETING_TIMEOUT_S = 120.0


def check_store(one: ObjectStore, other: ObjectStore, rounds: int = ROUNDS) -> list[Finding]:
    """Findings about one store, through two clients of it. What was written is removed."""
    folder = f"doctor/{uuid.uuid4().hex[:12]}/"
    try:
        one.put(f"{folder}first", b"")
    except ShopLensError as error:
        return [raised("store: writing", error)]
    try:
        return [
            found_by("store: read after write", _reads_what_was_written, one, other, folder),
            found_by("store: listing", _lists_what_is_there, one, folder),
            found_by("store: If-None-Match", _first_write_wins_once, one, other, folder, rounds),
            found_by("store: If-Match", _swap_wins_once, one, other, folder, rounds),
        ]
    finally:
        _clear(one, folder)


def _reads_what_was_written(one: ObjectStore, other: ObjectStore, folder: str) -> Finding:
    check, key = "store: read after write", f"{folder}written"
    for number in range(3):
        data = f"write {number}".encode()
        etag = one.put(key, data)
        found = other.get(key)
        if found is None or found.data != data:
            return wrong(check, f"write {number} of {key} was not what was read then", _READING_REMEDY)
        if found.etag != etag:
            return wrong(check, f"{key} was written with ETag {etag} and read with {found.etag}", _READING_REMEDY)
    return ok(check, "a second client reads each write at once, with its ETag")


def _lists_what_is_there(store: ObjectStore, folder: str) -> Finding:
    check, inside = "store: listing", f"{folder}listing/"
    keys = [f"{inside}{number}" for number in range(3)]
    for key in keys:
        store.put(key, b"listed")
    if list(store.keys(inside)) != keys:
        return wrong(check, "a listing lacks what was just written", _READING_REMEDY)
    store.delete(keys[0])
    if list(store.keys(inside)) != keys[1:]:
        return wrong(check, "a listing shows what was just deleted", _READING_REMEDY)
    if store.get(keys[0]) is not None:
        return wrong(check, "what was deleted can still be read", "let this user delete objects under the prefix")
    store.delete_all(keys[1:])
    if list(store.keys(inside)):
        return wrong(check, "a listing shows what was just deleted many at a time", _READING_REMEDY)
    return ok(check, "shows what was written and not what was deleted")


def _first_write_wins_once(one: ObjectStore, other: ObjectStore, folder: str, rounds: int) -> Finding:
    check = "store: If-None-Match"
    one.put(f"{folder}taken", b"taken")
    if _wins(one, f"{folder}taken", b"again", None):
        return wrong(check, "is ignored: a first write replaced an object that was there", _REMEDY)
    for number in range(rounds):
        if complaint := _meet(one, other, f"{folder}first-{number}", None):
            return wrong(check, f"{complaint} (round {number + 1} of {rounds})", _REMEDY)
    return ok(check, f"of two first writers one won, {rounds} times out of {rounds}")


def _swap_wins_once(one: ObjectStore, other: ObjectStore, folder: str, rounds: int) -> Finding:
    check, key = "store: If-Match", f"{folder}swapped"
    old = one.put(key, b"old")
    one.put(key, b"new")
    if _wins(one, key, b"late", old):
        return wrong(check, "is ignored: a write with an old ETag replaced a newer object", _REMEDY)
    if _wins(one, f"{folder}absent", b"x", old):
        return wrong(check, "is ignored: a write with an ETag made an object that was not there", _REMEDY)
    for number in range(rounds):
        etag = one.put(key, f"round {number}".encode())
        if complaint := _meet(one, other, key, etag):
            return wrong(check, f"{complaint} (round {number + 1} of {rounds})", _REMEDY)
    return ok(check, f"of two writers with the same ETag one won, {rounds} times out of {rounds}")


def _meet(one: ObjectStore, other: ObjectStore, key: str, etag: str | None) -> str:
    """Let two writers write on the same condition at once; what is wrong with the outcome, or nothing."""
    won: list[bytes] = []
    failed: list[ShopLensError] = []
    together = threading.Barrier(2, timeout=_MEETING_TIMEOUT_S)

    def write(store: ObjectStore, data: bytes) -> None:
        together.wait()
        try:
            if _wins(store, key, data, etag):
                won.append(data)
        except ShopLensError as error:
            failed.append(error)

    contenders = ((one, b"the one"), (other, b"the other"))
    threads = [threading.Thread(target=write, args=contender, daemon=True) for contender in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    if len(won) != 1:
        return f"of two writers of one key {'both' if won else 'none'} won"
    found = one.get(key)
    return "" if found and found.data == won[0] else "the key does not hold what its winner wrote"


def _wins(store: ObjectStore, key: str, data: bytes, etag: str | None) -> bool:
    """Write on condition that the key's ETag is still this; None: that there is no such key."""
    try:
        store.put(key, data, if_match=etag, if_none_match=etag is None)
    except PreconditionFailed:
        return False
    return True


def _clear(store: ObjectStore, folder: str) -> None:
    """Leftovers of a doctor that cannot clear up go with the weekly clean-up."""
    try:
        store.delete_all(list(store.keys(folder)))
    except ShopLensError:
        return
