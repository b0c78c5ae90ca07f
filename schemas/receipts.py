"""Receipts: the last act of a job, and all that the next one reads of it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.errors import BadData, Corrupt, SchemaTooNew

RECEIPT_VERSION = 1


@dataclass(frozen=True)
class Receipt:
    """What one job did for one interval.

    `counts` are rows by name, `table_versions` Delta versions by table path after the job, `files` object keys
    by role, `figures` measured numbers, `facts` the rest (build_id, model_id, skipped reason).
    """

    dag: str
    job: str
    interval_start: str
    interval_end: str
    counts: dict[str, int] = field(default_factory=dict)
    table_versions: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    schema_version: int = RECEIPT_VERSION

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str = "a receipt") -> "Receipt":
        """Raises Corrupt where it is none, SchemaTooNew where a later release wrote it."""
        try:
            fields = json.loads(data)
            version = int(fields.get("schema_version", RECEIPT_VERSION))
            if version > RECEIPT_VERSION:
                raise SchemaTooNew(key, version, RECEIPT_VERSION)
            receipt = cls(**fields)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise Corrupt(key, "a receipt", repr(error)) from error
        parts = (receipt.counts, receipt.table_versions, receipt.files, receipt.figures, receipt.facts)
        versions = receipt.table_versions
        if not all(isinstance(part, dict) for part in parts) or any(type(one) is not int for one in versions.values()):
            raise Corrupt(key, "a receipt", "fields of other types")
        return receipt

    def fact(self, name: str) -> Any:
        """One of `facts`. Raises BadData where the receipt does not say: another release wrote it, or a hand."""
        if name not in self.facts:
            raise BadData(f"the receipt of {self.job} for {self.interval_end} names no {name}: run {self.job} again")
        return self.facts[name]


def receipt_key(dag: str, interval_key: str, job: str) -> str:
    """The object key, relative to the store: runs/<dag>/<interval_end>/<job>.json."""
    return f"runs/{dag}/{interval_key}/{job}.json"


def failure_key(dag: str, interval_key: str, job: str) -> str:
    """Where a job that ended with an expected error notes it for whoever submitted it: {exit_code, error, message}."""
    return f"runs/{dag}/{interval_key}/{job}.failure.json"
