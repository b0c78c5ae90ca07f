"""Events as the searcher spools them: one JSON object a line, read later by the learning loop."""

import json
from dataclasses import dataclass

EVENT_VERSION = 1


@dataclass(frozen=True)
class ImpressionEvent:
    """One answered search. `user_hash` is a keyed hash, never the id; `query` names its parts, never their content."""

    event_id: str
    request_id: str
    at: str
    user_hash: str | None
    query: dict[str, object]
    product_ids: tuple[str, ...]
    generation: int
    build_id: str
    model_id: str
    arm: str = "live"
    kind: str = "impression"
    schema_version: int = EVENT_VERSION


@dataclass(frozen=True)
class ClickEvent:
    """A product of an earlier answer was clicked, put in a cart or bought (`action`)."""

    event_id: str
    request_id: str
    at: str
    user_hash: str | None
    product_id: str
    position: int
    action: str = "click"
    kind: str = "click"
    schema_version: int = EVENT_VERSION


def to_json_line(event: ImpressionEvent | ClickEvent) -> bytes:
    return json.dumps(vars(event), sort_keys=True, separators=(",", ":")).encode() + b"\n"
