"""Visits of links by the real downloader, under settings quick enough for tests."""

from spark_jobs.fetch.answers import Errand, Known, Visit
from spark_jobs.fetch.downloader import download
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.settings import FetchSettings
from tests.spark_jobs.fetch.photos import photo

PHOTO = photo()
NOTHING_KNOWN = Known()
QUICK = FetchSettings(
    connect_timeout_s=2, read_timeout_s=0.5, total_timeout_s=2, backoff_s=0.01, retry_after_max_s=2,
    image_max_bytes=100_000, allow_private=True,
)  # fmt: skip


def visit_all(urls: list[str], settings: FetchSettings = QUICK, known: Known = NOTHING_KNOWN) -> dict[str, Visit]:
    division = Division(1, settings)
    errands = (Errand(url, url, known) for url in urls)
    return {visit.errand.url: visit for visits in download(errands, settings, division, 0) for visit in visits}


def visit(url: str, settings: FetchSettings = QUICK, known: Known = NOTHING_KNOWN) -> Visit:
    return visit_all([url], settings, known)[url]
