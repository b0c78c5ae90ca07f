"""One partition's work: download its links, check the photos as they come, and give one row for each link."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from schemas.reasons import PhotoReason
from spark_jobs.fetch.answers import Errand, Visit
from spark_jobs.fetch.downloader import download
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.ledger import LedgerRow, row_after
from spark_jobs.fetch.links import host_of
from spark_jobs.fetch.outcomes import Order, outcome_batch, outcome_row, read_orders
from spark_jobs.fetch.photo_checks import REJECTED, CheckedPhoto, PhotoRules, check_photo, content_hash
from spark_jobs.fetch.safety import SafetyCheck, Scorer
from spark_jobs.fetch.settings import FetchSettings

_REMEMBERED_PHOTOS = 1_000_000


@dataclass(frozen=True)
class PlannedPartition:
    """Gives every order its partition, by its host. `partition` of the result is a number, not yet Spark's key."""

    division: Division

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            places, urls = batch["place"].to_pylist(), batch["url"].to_pylist()
            numbers = [self.division.partition_of(host_of(place), url) for place, url in zip(places, urls, strict=True)]
            at = batch.schema.get_field_index("partition")
            yield batch.set_column(at, batch.schema.field(at), pa.array(numbers, pa.int32()))


@dataclass(frozen=True)
class FetchPartition:
    """Fetches and checks one partition's orders (ORDER_SCHEMA), giving outcomes (OUTCOME_SCHEMA), 64 at a time."""

    settings: FetchSettings
    rules: PhotoRules
    division: Division
    as_of: datetime
    safety: SafetyCheck

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        orders = (order for batch in batches for order in read_orders(batch))
        first = next(orders, None)
        if first is None:
            return
        waiting: dict[str, Order] = {}

        def errands() -> Iterator[Errand]:
            for order in _chained(first, orders):
                waiting[order.errand.url] = order
                yield order.errand

        seen: set[str] = set()
        score = self.safety.open_scorer()
        for visits in download(errands(), self.settings, self.division, first.partition):
            found = [
                self._look(visit, waiting.pop(visit.errand.url), seen, with_pixels=score is not None)
                for visit in visits
            ]
            self._score(score, [photo for _, _, photo in found if photo is not None])
            yield outcome_batch([outcome_row(*each) for each in found])

    def _look(
        self, visit: Visit, order: Order, seen: set[str], *, with_pixels: bool
    ) -> tuple[Visit, LedgerRow | None, CheckedPhoto | None]:
        """The link's ledger row, and its photo where the bytes are new to this partition."""
        if visit.moved_to is not None:
            return visit, None, None
        data = visit.answer.data
        if data is None:
            return visit, row_after(order.previous, visit, None, self.as_of), None
        content = content_hash(data)
        ledger = row_after(order.previous, visit, content, self.as_of)
        is_known = order.previous is not None and order.previous.content_sha256 == content and not order.from_scratch
        if is_known or content in seen:
            return visit, ledger, None
        if len(seen) < _REMEMBERED_PHOTOS:
            seen.add(content)
        return visit, ledger, check_photo(data, self.rules, content, with_pixels=with_pixels)

    def _score(self, score: Scorer | None, photos: list[CheckedPhoto]) -> None:
        """Give accepted photos a safety score, reject those above the limit, and let go of their pixels."""
        accepted = [photo for photo in photos if photo.pixels is not None]
        if score is not None and accepted:
            scores = score([photo.pixels for photo in accepted if photo.pixels is not None])
            for photo, value in zip(accepted, scores, strict=True):
                photo.safety_score = float(value)
                if photo.safety_score > self.safety.score_max:
                    photo.verdict, photo.reason, photo.stored = REJECTED, PhotoReason.UNSAFE, None
        for photo in accepted:
            photo.pixels = None


def _chained(first: Order, orders: Iterator[Order]) -> Iterator[Order]:
    yield first
    yield from orders
