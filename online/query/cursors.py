"""Cursors: all that the next page of an answer needs, signed, so that the searcher keeps nothing of it.

A cursor names the base build that its groups count in. It survives new generations and deltas on that base, which
filter and hide as they then stand; on another base it is refused. What only a delta numbers (groups that are new, rows of
products) it names in ways that last: groups by digests, products by their ids.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from itsdangerous import BadData, URLSafeSerializer
from numpy.typing import NDArray

from online.api.problems import BAD_CURSOR, CURSOR_EXPIRED, ProblemRaised
from online.query.attribute_match import MODELS_MAX
from online.query.composition import Mix, Part, Query
from online.snapshots.snapshot import Snapshot
from online.telemetry.logs import log
from retrieval.encoders.contract import unit_rows
from schemas.api.answers import FieldError
from schemas.api.fields import CURSOR_MAX_CHARS
from schemas.api.filters import Filters
from schemas.api.requests import RankWeights, SearchRequest
from schemas.errors import StoreNotWritable

CURSOR_VERSION = 2
SHOWN_MAX = 5_000
"""Groups that a cursor remembers; nobody pages further."""

KEY_FILE = "cursor.key"
KEY_BYTES = 32
LIVE_ARM = "live"
_SALT = "shoplens.cursor"
_FIELD = "cursor"


class Cursors:
    """Writes and reads cursors. All workers and replicas that answer one shop need the same key."""

    def __init__(self, key: bytes | None, folder: Path) -> None:
        """Without a `key` one is made in `folder`, for the workers of this host."""
        self._key, self._folder = key, folder

    def write(self, snapshot: Snapshot, query: Query, fields: SearchRequest, shown: NDArray[np.int32]) -> str | None:
        """The cursor of the page after one that showed the groups `shown`.

        None once it would be too long, or where a full disk keeps this host from having a key: the answer is the first
        page then, and the log says why.
        """
        columns = snapshot.catalog.columns
        hidden = np.union1d(query.hidden_groups, shown)
        is_new = hidden >= columns.lasting_groups
        new = np.union1d(query.hidden_elsewhere, columns.new_group_digests[hidden[is_new] - columns.lasting_groups])
        if np.count_nonzero(~is_new) + len(new) > SHOWN_MAX:
            return None
        try:
            serializer = self._serializer
        except StoreNotWritable as error:
            log.warning("no_cursor_key", detail=str(error))
            return None
        models = snapshot.catalog.product_ids(query.models[:MODELS_MAX])
        cursor = str(
            serializer.dumps(
                {
                    "v": CURSOR_VERSION,
                    "base": snapshot.pointer.live.build_id,
                    "arm": LIVE_ARM,
                    "vector": _pack(query.unit_vector.astype("<f2")),
                    "parts": [(part.field, part.kind, round(part.weight, 6)) for part in query.mix.parts],
                    "hidden": _pack(hidden[~is_new].astype("<i4")),
                    "hidden_new": _pack(new.astype("<u8")),
                    "models": models,
                    "words": query.words,
                    "asked": fields.model_dump(
                        include={"filters", "rank", "min_score", "diversity", "k"}, by_alias=True, exclude_none=True
                    ),
                }
            )
        )
        return cursor if len(cursor) <= CURSOR_MAX_CHARS else None  # else it would not be taken

    def read(self, snapshot: Snapshot, fields: SearchRequest) -> tuple[Query, SearchRequest]:
        """The query of the next page, and the request as its first page had it, with what this one may change.

        Raises ProblemRaised: bad-cursor, or cursor-expired where another base is live.
        """
        assert fields.cursor is not None
        try:
            found: Any = self._serializer.loads(fields.cursor)
        except (BadData, StoreNotWritable):  # without a key there is none that this host has written
            message = "was not written by this searcher, or was changed: send it as it was given"
            raise ProblemRaised(BAD_CURSOR, f"cursor: {message}", [FieldError(field=_FIELD, message=message)]) from None
        base = snapshot.pointer.live.build_id
        if (found["v"], found["base"]) != (CURSOR_VERSION, base):
            message = "the index was built anew since this page was given: search again"
            raise ProblemRaised(CURSOR_EXPIRED, f"cursor: {message}", [FieldError(field=_FIELD, message=message)])
        return _read_query(snapshot, found), _read_fields(found["asked"], fields)

    @cached_property
    def _serializer(self) -> URLSafeSerializer:
        key = self._key or _shared_key(self._folder)
        return URLSafeSerializer(
            key, salt=_SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )


def _read_query(snapshot: Snapshot, found: Mapping[str, Any]) -> Query:
    vector = unit_rows(_unpack(found["vector"], "<f2")[np.newaxis].astype(np.float32))[0]
    parts = tuple(Part(field, kind, weight) for field, kind, weight in found["parts"])
    hidden, elsewhere = _read_hidden(snapshot, found)
    rows = snapshot.catalog.rows_of_products(found["models"])
    models = np.array([rows[product_id][0] for product_id in found["models"] if product_id in rows], np.int64)
    return Query(Mix(vector, parts), hidden, found["words"], models, hidden_elsewhere=elsewhere)


def _read_hidden(snapshot: Snapshot, found: Mapping[str, Any]) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """The hidden groups as this snapshot numbers them, sorted, and the digests of those that it has not."""
    hidden, new = _unpack(found["hidden"], "<i4").astype(np.int32), _unpack(found["hidden_new"], "<u8")
    if not len(new):
        return hidden, new.astype(np.uint64)
    columns = snapshot.catalog.columns
    here = np.flatnonzero(np.isin(columns.new_group_digests, new)) + columns.lasting_groups
    return np.append(hidden, here.astype(np.int32)), np.setdiff1d(new, columns.new_group_digests).astype(np.uint64)


def _read_fields(asked: Mapping[str, Any], fields: SearchRequest) -> SearchRequest:
    kept: dict[str, Any] = {**asked}
    kept["filters"] = Filters.model_validate(asked["filters"]) if "filters" in asked else None
    kept["rank"] = RankWeights.model_validate(asked["rank"]) if "rank" in asked else None
    if "k" in fields.model_fields_set:
        kept.pop("k")
    return fields.model_copy(update=kept)


def _pack(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _unpack(text: str, dtype: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype)


def _shared_key(folder: Path) -> bytes:
    """The key of this host: made by whichever worker needs it first."""
    path = folder / KEY_FILE
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(handle, "wb") as sink:
                    sink.write(secrets.token_hex(KEY_BYTES).encode())
                    sink.flush()
                    os.fsync(handle)  # else a crash may leave an empty key, with which anybody could sign
                os.link(draft, path)  # fails where another worker was first
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = path.read_bytes()
    except OSError as error:
        raise StoreNotWritable(f"cannot keep the cursors' key in {folder}: {error.strerror}; free space") from error
    if len(key) < KEY_BYTES:
        raise StoreNotWritable(f"the cursors' key {path} is damaged; remove it, and a new one is made")
    return key
