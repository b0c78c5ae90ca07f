"""CURRENT: the one small object that says which immutable files are live."""

import json
from dataclasses import asdict, dataclass, field, replace

from schemas.errors import Corrupt, SchemaTooNew

POINTER_KEY = "CURRENT"
POINTER_VERSION = 2
"""Since 2 it names the lake."""
HISTORY_LENGTH = 20


@dataclass(frozen=True)
class Served:
    """A base build with its newest delta, and the model both were made with."""

    build_id: str
    model_id: str
    delta_id: str | None = None


@dataclass(frozen=True)
class Hold:
    """Publishing waits until `shoplens index release`."""

    reason: str
    by: str


@dataclass(frozen=True)
class Generation:
    """One line of history: what a publish with `publish_id` made live."""

    generation: int
    publish_id: str
    live: Served
    interval_end: str
    source_versions: dict[str, int]


@dataclass(frozen=True)
class Pointer:
    """CURRENT's content. `generation` only grows; `interval_end` and `source_versions` never go back in time.

    `lake_id` says whose versions these are: one that is made anew counts from 0 again. Empty where nobody said.
    """

    generation: int
    interval_end: str
    source_versions: dict[str, int]
    live: Served
    candidate: Served | None = None
    previous: Served | None = None
    traffic: dict[str, float] = field(default_factory=lambda: {"live": 1.0})
    hold: Hold | None = None
    history: tuple[Generation, ...] = ()
    lake_id: str = ""
    schema_version: int = POINTER_VERSION

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Pointer":
        """Raises Corrupt where it is no pointer, SchemaTooNew where a later release wrote it."""
        try:
            fields = json.loads(data)
            version = int(fields["schema_version"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _damaged(repr(error)) from error
        if version > POINTER_VERSION:
            raise SchemaTooNew(POINTER_KEY, version, POINTER_VERSION)
        try:
            pointer = cls(
                **{
                    **fields,
                    "schema_version": POINTER_VERSION,
                    "live": Served(**fields["live"]),
                    "candidate": _optional_served(fields.get("candidate")),
                    "previous": _optional_served(fields.get("previous")),
                    "hold": Hold(**fields["hold"]) if fields.get("hold") else None,
                    "history": tuple(
                        Generation(**{**line, "live": Served(**line["live"])}) for line in fields.get("history", ())
                    ),
                }
            )
        except (KeyError, TypeError) as error:
            raise _damaged(repr(error)) from error
        if not pointer._is_sound:
            raise _damaged("fields of other types")
        return pointer

    @property
    def _is_sound(self) -> bool:
        """Whether what is served and compared has its type: NaN for a generation would go live, and no answer could say it."""
        served = [self.live, *filter(None, (self.candidate, self.previous)), *(line.live for line in self.history)]
        names = [name for each in served for name in (each.build_id, each.model_id, each.delta_id or "")]
        said = [line.publish_id for line in self.history] + ([self.hold.reason, self.hold.by] if self.hold else [])
        counted: tuple[Pointer | Generation, ...] = (self, *self.history)
        return (
            all(isinstance(each.source_versions, dict) for each in counted)
            and all(
                type(number) is int for each in counted for number in (each.generation, *each.source_versions.values())
            )
            and all(
                isinstance(text, str)
                for text in (self.lake_id, *names, *said, *(each.interval_end for each in counted))
            )
        )

    def is_of(self, lake_id: str) -> bool:
        """Whether the versions are known to be this lake's."""
        return bool(lake_id) and lake_id == self.lake_id

    def is_of_another(self, lake_id: str) -> bool:
        """Whether the versions are known to be another lake's."""
        return bool(self.lake_id and lake_id) and lake_id != self.lake_id

    def with_history(self, line: Generation) -> "Pointer":
        """This pointer with `line` as the newest of the last twenty generations."""
        return replace(self, history=(line, *self.history)[:HISTORY_LENGTH])


def _optional_served(fields: dict[str, str | None] | None) -> Served | None:
    return Served(**fields) if fields else None  # type: ignore[arg-type]


def _damaged(actual: str) -> Corrupt:
    remedy = "put its last good version back (S3 versioning, a backup): the next night or hour moves it on from there"
    return Corrupt(POINTER_KEY, "a pointer", actual, remedy)
