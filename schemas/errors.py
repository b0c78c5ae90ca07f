"""Every error that ShopLens raises on purpose.

ShopLensError
├── BadData                     exit 65: the input is wrong; trying again gives the same
│   ├── MappingInvalid          a catalog mapping file does not fit
│   ├── TooManyDeletions        a snapshot would delete more than its limit
│   ├── TooManyBadRows          the share of bad rows passed the job's limit
│   ├── PhotoRejected           one photo cannot be used; carries a reason of `schemas.reasons`
│   ├── GateFailed              a build did not pass the gate; carries what failed
│   └── Corrupt                 a file is not what its manifest says; carries key, expected, actual
├── TryAgain                    exit 75: something outside failed; the same call may succeed
│   ├── StoreUnavailable        the object store did not answer, or refused
│   ├── PreconditionFailed      a conditional write lost
│   └── PointerMoved            another publisher moved CURRENT first
└── Misconfigured               exit 78: a person must change something first
    ├── StoreNotWritable        no permission, no space, or no such bucket
    ├── ClockOff                the store does not accept this host's time
    ├── SchemaTooNew            a table or file was written by a newer release
    ├── EncoderMismatch         a model is not the one that made the vectors
    ├── ModelUnavailable        a model cannot be loaded
    ├── PublishingHeld          CURRENT is on hold after a rollback
    └── MissingReceipt          the job before this one has not finished
"""

from collections.abc import Mapping

EXIT_BAD_DATA = 65
EXIT_TRY_AGAIN = 75
EXIT_MISCONFIGURED = 78


_REASONS_NAMED = 3


class ShopLensError(Exception):
    """Base of all; its text is one line that says what happened and what to do."""

    exit_code = 1


class BadData(ShopLensError):
    exit_code = EXIT_BAD_DATA


class CatalogMissing(BadData):
    """Nothing lies where the catalog of an interval should; it may yet come."""


class MappingInvalid(BadData):
    pass


class TooManyDeletions(BadData):
    def __init__(self, deleted: int, live: int, limit: float) -> None:
        self.deleted, self.live, self.limit = deleted, live, limit
        super().__init__(
            f"the snapshot would delete {deleted} of {live} products, more than {limit:.0%}: "
            "check the source, then run again with --max-deleted-share 1 if it is right"
        )


class TooManyBadRows(BadData):
    """`reasons`: how many of the bad rows are bad for which reason; a row with two counts under both."""

    def __init__(
        self, bad: int, total: int, limit: float, where: str, reasons: Mapping[str, int] | None = None
    ) -> None:
        self.bad, self.total, self.limit, self.reasons = bad, total, limit, dict(reasons or {})
        named = f" ({_commonest(self.reasons)})" if self.reasons else ""
        super().__init__(f"{bad} of {total} rows are bad, more than {limit:.0%}{named}: see their reasons in {where}")


def _commonest(counts: Mapping[str, int]) -> str:
    """The commonest first, such as `7 no_image, 2 price_not_a_number`; what is rare is only counted."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    named = [f"{count} {reason}" for reason, count in ranked[:_REASONS_NAMED]]
    others = sum(count for _, count in ranked[_REASONS_NAMED:])
    return ", ".join([*named, f"{others} for others"] if others else named)


class PhotoRejected(BadData):
    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class GateFailed(BadData):
    def __init__(self, build_id: str, failures: list[str]) -> None:
        self.build_id, self.failures = build_id, failures
        super().__init__(f"build {build_id} did not pass the gate: {'; '.join(failures)}")


class Corrupt(BadData):
    def __init__(self, key: str, expected: str, actual: str, remedy: str = "") -> None:
        self.key, self.expected, self.actual = key, expected, actual
        super().__init__(f"{key} is damaged: expected {expected}, found {actual}{remedy and f': {remedy}'}")


class TryAgain(ShopLensError):
    exit_code = EXIT_TRY_AGAIN


class StoreUnavailable(TryAgain):
    pass


class PreconditionFailed(TryAgain):
    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"{key} was written by someone else first")


class PointerMoved(TryAgain):
    pass


class Misconfigured(ShopLensError):
    exit_code = EXIT_MISCONFIGURED


class StoreNotWritable(Misconfigured):
    pass


class ClockOff(Misconfigured):
    pass


class SchemaTooNew(Misconfigured):
    def __init__(self, what: str, found: int, known: int) -> None:
        self.what, self.found, self.known = what, found, known
        super().__init__(f"{what} has schema version {found}, this release knows {known}: upgrade ShopLens")


class EncoderMismatch(Misconfigured):
    pass


class ModelUnavailable(Misconfigured):
    pass


class PublishingHeld(Misconfigured):
    pass


class MissingReceipt(Misconfigured):
    pass
