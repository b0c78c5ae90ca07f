"""One night over a very small shop, done once undisturbed: what stood before each job, and what it left."""

import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from demo.catalog import CatalogPlan, write_catalog
from demo.nightly import Nightly
from retrieval.store.objects import FolderStore
from schemas.intervals import DataInterval
from schemas.receipts import Receipt, receipt_key
from schemas.tables import PRODUCT_BUSINESS_COLUMNS, PRODUCTS
from tests.dags.differing_rows import BOOKKEEPING
from tests.retrieval.encoders.tiny_model import tiny_bundle_folder

END = datetime(2026, 1, 2, 2, tzinfo=UTC)
NIGHT = DataInterval(END - timedelta(days=1), END)
JOBS = ("ingest_catalog", "fetch_images", "embed_images", "build_index")
PRODUCTS_DRAWN = 12
SHOWN = "shown"
EMBEDDINGS = "embeddings"
OF_ITS_LAKE = {"vector", "products_version"}
"""Vectors are compared by themselves; versions count commits in the order in which they came."""


@dataclass(frozen=True)
class Night:
    """A lake and a store in one folder, and the catalog that they are filled from."""

    folder: Path
    catalog: Path

    @property
    def nightly(self) -> Nightly:
        return Nightly(
            lake=self.folder / "lake", store=self.folder / "store", catalog=str(self.catalog),
            mapping=self.catalog / "mapping.toml", model=str(tiny_bundle_folder()), allowed_roots=(self.catalog.parent / SHOWN,),
            extra={"embed_images": ("--cache", str(self.folder / "models"))},
        )  # fmt: skip

    def run(self, job: str, interval: DataInterval = NIGHT) -> int:
        """Run a job in this process, in the Spark that is up; its exit code."""
        return run_here(self.nightly, job, interval)

    def copy(self, folder: Path) -> "Night":
        shutil.copytree(self.folder, folder)
        return Night(folder, self.catalog)

    def receipt(self, job: str, interval: DataInterval = NIGHT) -> Receipt:
        found = FolderStore(self.folder / "store").get(receipt_key(self.nightly.dag, interval.key, job))
        assert found is not None
        return Receipt.from_json(found.data)

    def tables(self) -> list[str]:
        lake = self.folder / "lake"
        return sorted(path.parent.relative_to(lake).as_posix() for path in lake.rglob("_delta_log") if path.is_dir())

    def rows(self, spark: SparkSession, table: str) -> Counter[str]:
        """The business columns of all rows."""
        frame = spark.read.format("delta").load(str(self.folder / "lake" / table))
        kept = PRODUCT_BUSINESS_COLUMNS if table == PRODUCTS.path else frame.columns
        columns = [name for name in kept if name not in BOOKKEEPING | OF_ITS_LAKE]
        return Counter(row["row"] for row in frame.select(F.to_json(F.struct(*columns)).alias("row")).collect())

    def vectors(self, spark: SparkSession) -> dict[str, np.ndarray]:
        """By content; the order of batches may move the last digit."""
        (table,) = (name for name in self.tables() if name.startswith(EMBEDDINGS))
        rows = spark.read.format("delta").load(str(self.folder / "lake" / table)).collect()
        assert len({row["content_sha256"] for row in rows}) == len(rows)
        return {row["content_sha256"]: np.array(row["vector"], np.float32) for row in rows}

    def builds(self) -> dict[str, bytes]:
        """Every file of every build, by its key."""
        store = FolderStore(self.folder / "store")
        return {key: store.get(key).data for key in store.keys("builds/")}


def run_here(nightly: Nightly, job: str, interval: DataInterval) -> int:
    """Run a job in this process, in the Spark that is up; its exit code."""
    return int(import_module(f"spark_jobs.{job}").main(nightly.arguments_of(job, interval)))


def draw_catalog(folder: Path, day: int = 0) -> Path:
    """The export of a day of a small shop; all days share the photos, which are files beside it."""
    shown, export = folder / SHOWN, folder / f"day-{day}"
    write_catalog(shown, CatalogPlan(products=PRODUCTS_DRAWN, day=day, base_url=shown.as_uri()), workers=1)
    export.mkdir()
    for name in ("catalog.csv", "mapping.toml"):
        shutil.copy(shown / name, export)
    return export


def assert_same_rows(spark: SparkSession, found: Night, expected: Night) -> None:
    assert found.tables() == expected.tables()
    for table in expected.tables():
        assert found.rows(spark, table) == expected.rows(spark, table), table
    if any(table.startswith(EMBEDDINGS) for table in expected.tables()):
        theirs = found.vectors(spark)
        for content, vector in expected.vectors(spark).items():
            np.testing.assert_allclose(theirs[content], vector, atol=1e-5)
    assert found.builds() == expected.builds()
