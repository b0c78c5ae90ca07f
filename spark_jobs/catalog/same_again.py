"""A snapshot that is, byte for byte, the one of the run before: it is noted as taken, and not read.

Only files are told apart so. A database is asked, and what lies on S3 is read: exports are written anew each night, whether
anything changed or not, and only their bytes say so.
"""

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import schemas
from schemas.mapping import CatalogMapping
from schemas.receipts import Receipt
from schemas.tables import CATALOG_INTERVALS, PRODUCT_IMAGES, PRODUCTS
from spark_jobs import catalog as catalog_rules
from spark_jobs.catalog.moments import Applied, Recorded, read_timeline
from spark_jobs.catalog.places import CatalogPlace
from spark_jobs.catalog.writes import rejected_before, write_interval, write_quarantine
from spark_jobs.lake.tables import Lake


def catalog_digest(place: CatalogPlace, mapping: CatalogMapping) -> str | None:
    """SHA-256 of a catalog's files, where they lie, their mapping, and the code that judges rows; None without local files."""
    path = place.local_path
    if path is None:
        return None
    found = path if path.is_file() or not mapping.source_path else path / mapping.source_path
    digest = hashlib.sha256(repr((mapping, place.folder_uri)).encode())  # relative links are joined to the folder
    for rule in _rules():
        digest.update(rule.read_bytes())
    try:
        files = {str(each.relative_to(found.parent)): each for each in _files_of(found)}
        for name, each in sorted(files.items()):
            with each.open("rb") as source:
                digest.update(f"{name} {hashlib.file_digest(source, 'sha256').hexdigest()}\n".encode())
    except OSError:  # reading it says what is wrong
        return None
    # No file: a pattern, or nothing at all.
    return digest.hexdigest() if files else None


def take_same(lake: Lake, applied: Applied, earlier: Receipt, bad_share: float) -> dict[str, int] | None:
    """Note that the snapshot of the `earlier` receipt was taken again, for another interval. Returns its counts.

    None where it must be read after all: the tables are not as it left them, something newer was taken meanwhile, or more
    of its rows are bad than are allowed now.
    """
    versions = {table.path: lake.version(table) for table in (PRODUCTS, PRODUCT_IMAGES)}
    counts, said = earlier.counts, earlier.facts
    stands = versions == earlier.table_versions and said.get("newest") and said.get("lake_id") == lake.lake_id()
    if not stands or counts["rows_bad"] > bad_share * counts["rows_read"]:
        return None
    timeline = read_timeline(lake.read(CATALOG_INTERVALS), applied)
    images_agree = timeline.images_agree_with == versions[PRODUCTS.path]
    if timeline.own or not timeline.is_newest or not images_agree:
        return None
    if counts["rows_bad"]:
        write_quarantine(lake, rejected_before(lake, earlier.interval_end, applied), applied, counts["rows_bad"])
    record = Recorded(
        applied.end_us, str(applied.mode), counts["rows_read"], counts["rows_bad"], versions[PRODUCTS.path]
    )
    write_interval(lake, record, applied.start_us, is_new=True)
    return {
        "rows_read": counts["rows_read"], "rows_bad": counts["rows_bad"], "upserted": 0, "deleted": 0,
        "unchanged": counts["upserted"] + counts["unchanged"],
    }  # fmt: skip


def _rules() -> list[Traversable]:
    """A release that judges rows otherwise reads the same catalog anew."""
    modules = (each for each in resources.files(catalog_rules).iterdir() if each.name.endswith(".py"))
    return [*sorted(modules, key=lambda each: each.name), resources.files(schemas) / "mapping.py"]


def _files_of(found: Path) -> list[Path]:
    """The file itself, or what Spark reads of a folder: its files, and those in folders of partitions (key=value)."""
    if found.is_file():
        return [found]
    folders = [each for each in found.glob("*=*") if each.is_dir()]
    return [each for each in found.glob("*") if each.is_file()] + [
        each for folder in folders for each in folder.rglob("*") if each.is_file()
    ]
