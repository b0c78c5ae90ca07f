"""What strangers serve: photos made to break decoders, and a shop with every fault of the demo catalog."""

import csv
import hashlib
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest

from demo.catalog import CatalogPlan, write_catalog
from demo.server import serve
from schemas.mapping import read_mapping
from schemas.reasons import PhotoReason
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.fetch.hostile_photos import PhotosMissing, go_photos, pillow_photos
from tests.spark_jobs.fetch.shop import Shop

pytestmark = pytest.mark.full


@pytest.fixture
def hostile_photos() -> list[Path]:
    try:
        return pillow_photos() + go_photos()
    except PhotosMissing as missing:
        pytest.skip(str(missing))


def test_every_photo_of_pillows_and_gos_own_tests_is_a_row_and_no_worker_dies(
    hostile_photos: list[Path], lake: Lake, tmp_path: Path
) -> None:
    roots = {path.parent for path in hostile_photos}
    urls = {f"file://{quote(str(path))}": path for path in hostile_photos}
    allowed = [part for root in sorted(roots) for part in ("--allowed-root", str(root))]
    shop = Shop(lake, tmp_path, arguments=("--max-bad-share", "1", "--partitions", "2", *allowed))
    shop.stock({f"p{number}": [url] for number, url in enumerate(urls)})
    assert shop.fetch() == 0
    ledger, photos = shop.ledger(), shop.photos()
    assert len(urls) >= 1060
    assert set(ledger) == set(urls)
    contents = {hashlib.sha256(path.read_bytes()).hexdigest() for path in hostile_photos if path.stat().st_size}
    assert set(photos) == contents
    assert {row["reason"] for row in ledger.values()} <= {None, "empty"}
    verdicts = Counter(row["verdict"] for row in photos.values())
    assert verdicts["accepted"] > 50
    assert all((row["reason"] is None) == (row["verdict"] == "accepted") for row in photos.values())
    assert {row["reason"] for row in photos.values()} - {None} <= set(PhotoReason)


def test_every_fault_of_the_demo_catalog_ends_as_the_reason_that_it_should(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    write_catalog(folder, CatalogPlan(products=70, fault_share=0.45), workers=2)
    with serve(folder) as base_url:
        expected = _stock_demo(Shop(lake, tmp_path), folder, base_url)
        shop = Shop(lake, tmp_path)
        assert shop.fetch() == 0
        assert shop.outcomes() == expected
    with (folder / "faults.csv").open(encoding="utf-8", newline="") as file:
        kinds = {row["kind"] for row in csv.DictReader(file)}
    assert len(kinds) >= 12


def _stock_demo(shop: Shop, folder: Path, base_url: str) -> dict[str, str | None]:
    """Put the catalog's links into the lake; return the reason that each should end with."""
    with (folder / "faults.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["path"]: row["reason"] or None for row in csv.DictReader(file) if row["path"]}
    with (folder / "catalog.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = read_mapping(folder / "mapping.toml").images.columns
    paths = {row["sku"]: [row[column] for column in columns if row[column]] for row in rows}
    links = {sku: [f"{base_url}/{path}" for path in found] for sku, found in paths.items()}
    shop.stock(links, groups={row["sku"]: row["style_id"] for row in rows})
    return {f"{base_url}/{path}": reasons.get(path) for found in paths.values() for path in found}
