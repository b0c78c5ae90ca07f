"""The rule of `spark_jobs.catalog.settlement` once more, for one product at a time, and what it must come to.

`settle_one` is what the Spark code says; `ShelfModel` keeps tables by it; `shelf_in_order` is the definition.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from schemas.intervals import DataInterval
from spark_jobs.catalog.moments import Applied, Mode, Recorded, Timeline
from spark_jobs.catalog.settlement import Action

DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def interval_of_day(day: int, mode: Mode) -> Applied:
    """The interval that ends on a day of the test's calendar."""
    end = DAY_ZERO + timedelta(days=day)
    return Applied(DataInterval(end - timedelta(days=1), end), mode)


@dataclass(frozen=True)
class Said:
    """What one interval says of one product."""

    content: str
    deleted: bool = False


@dataclass(frozen=True)
class Known:
    """What `products` holds of it, and `product_mentions`."""

    content: str
    first_seen_us: int
    source_us: int
    deleted: bool
    heard_us: int = 0

    @property
    def business(self) -> tuple[str, int, bool]:
        return self.content, self.first_seen_us, self.deleted


@dataclass(frozen=True)
class Interval:
    """An interval of a generated history. A snapshot's row marked deleted is an absent one."""

    day: int
    mode: Mode
    rows: dict[str, Said]

    @property
    def applied(self) -> Applied:
        return interval_of_day(self.day, self.mode)

    def said(self) -> dict[str, Said]:
        live_only = self.mode is Mode.SNAPSHOT
        return {product: said for product, said in self.rows.items() if not (live_only and said.deleted)}


def random_history(dice: random.Random, *, intervals: int, products: str = "abc") -> list[Interval]:
    """Intervals of different ends or modes, rows and deletes at random."""
    when = dice.sample([(day, mode) for day in range(1, 9) for mode in Mode], k=intervals)
    return [
        Interval(day, mode, {
            product: Said(dice.choice(("plain", "striped")), deleted=dice.random() < 0.3)
            for product in products if dice.random() < 0.6
        })
        for day, mode in when
    ]  # fmt: skip


def settle_one(known: Known | None, said: Said | None, timeline: Timeline) -> tuple[Action | None, Known | None]:
    """What to do, and what is known after it."""
    now, end = timeline.applied.moment_us, timeline.applied.end_us
    if known is None:
        if said is None:
            return None, None
        return Action.INSERT, Known(said.content, end, now, said.deleted or timeline.is_superseded)
    vouching = 0 if known.deleted else timeline.newest_snapshot_us or 0
    effective = max(known.source_us, known.heard_us, vouching)
    if said is None:
        if timeline.applied.mode is Mode.CHANGES or known.deleted or effective > now:
            return None, known
        before = max(known.source_us, known.heard_us, timeline.snapshot_before_us or 0)
        return Action.DELETE, replace(known, deleted=True, source_us=before)
    if effective > now:
        if end < known.first_seen_us:
            return Action.ANTEDATE, replace(known, first_seen_us=end)
        return None, known
    deleted = said.deleted or timeline.is_superseded
    if (said.content, deleted) != (known.content, known.deleted):
        first_seen_us = min(end, known.first_seen_us)
        return Action.UPDATE, replace(
            known, content=said.content, deleted=deleted, source_us=now, first_seen_us=first_seen_us
        )
    vouched_for = timeline.applied.mode is Mode.SNAPSHOT and not deleted
    if effective < now and not vouched_for:
        return Action.MENTION, replace(known, heard_us=now)
    return None, known


@dataclass
class ShelfModel:
    """The tables, kept by `settle_one`, intervals in whatever order they come."""

    products: dict[str, Known] = field(default_factory=dict)
    recorded: dict[int, Recorded] = field(default_factory=dict)

    def apply(self, interval: Interval) -> list[Action]:
        """Take the interval; what was written, products without an action left out."""
        timeline = Timeline(interval.applied, tuple(self.recorded.values()))
        said, actions = interval.said(), []
        for product in sorted({*said, *self.products}):
            action, known = settle_one(self.products.get(product), said.get(product), timeline)
            if known is not None:
                self.products[product] = known
            actions += [action] if action else []
        applied = interval.applied
        self.recorded[applied.moment_us] = Recorded(applied.end_us, str(applied.mode), 0, 0, 0)
        return actions

    def business(self) -> dict[str, tuple[str, int, bool]]:
        return {product: known.business for product, known in self.products.items()}


def shelf_in_order(history: list[Interval]) -> dict[str, tuple[str, int, bool]]:
    """The definition: in the order of their ends, snapshots upsert and delete the rest, changes upsert or delete."""
    shelf: dict[str, tuple[str, int, bool]] = {}
    for interval in sorted(history, key=lambda interval: interval.applied.moment_us):
        said = interval.said()
        for product, (content, first_seen_us, _) in shelf.items():
            if interval.mode is Mode.SNAPSHOT and product not in said:
                shelf[product] = (content, first_seen_us, True)
        for product, row in said.items():
            first_seen_us = shelf[product][1] if product in shelf else interval.applied.end_us
            shelf[product] = (row.content, first_seen_us, row.deleted)
    return shelf
