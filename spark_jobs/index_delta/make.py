"""The deltas of one run: for each base the difference between its rows and the tables at the pinned versions."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.publishing.coverage import EMBEDDINGS, is_at, is_there
from retrieval.search.segments import Segment
from schemas.delta import DeltaManifest
from schemas.errors import Misconfigured
from schemas.pointer import Pointer, Served
from schemas.tables import IMAGE_FETCHES, IMAGES, PRODUCT_IMAGES, PRODUCTS, embeddings
from spark_jobs.index_build.source_rows import Sources, read_sources
from spark_jobs.index_build.thumbnails import write_thumbnails
from spark_jobs.index_delta.assemble import write_delta
from spark_jobs.index_delta.bases import open_base, remove_unused_bases
from spark_jobs.index_delta.changed_products import changed_products
from spark_jobs.index_delta.current_rows import compare_with_base, read_new_vectors
from spark_jobs.lake.tables import Lake
from spark_jobs.running.job import JobContext
from spark_jobs.running.session import open_session

# Vectors and attributes are small: batches may be larger than for photos.
SETTINGS = {"spark.sql.execution.arrow.maxRecordsPerBatch": "4096"}

_TABLES = {table.path: table for table in (PRODUCTS, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES)}

Versions = Mapping[str, int]

_WAYS_OUT = "Name the right --lake, or take the whole catalog, build, and publish with --new-lake"


@dataclass(frozen=True)
class Made:
    """One delta that was compared and sent. `products_compared` is None where the change feeds could not narrow them."""

    manifest: DeltaManifest
    products_compared: int | None
    thumbnails_written: int
    seconds: float


@dataclass
class Deltas:
    """`ids` by build id (None: the base is as the tables are); `made` those that are not what CURRENT named already."""

    versions: dict[str, int]
    ids: dict[str, str | None] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)


class DeltaMaker:
    """Makes deltas of one run, with one Spark session, which is opened when first needed."""

    def __init__(self, context: JobContext, versions: Versions, interval_end: str, lake_id: str = "") -> None:
        self.context, self.interval_end, self.lake_id = context, interval_end, lake_id
        self.deltas = Deltas(dict(versions))
        self._lake: Lake | None = None

    @property
    def lake(self) -> Lake:
        if self._lake is None:
            context = self.context
            spark = open_session(context.job, s3=context.uses_s3, settings=SETTINGS, lake=context.lake)
            self._lake = Lake(spark, context.lake)
        return self._lake

    def make(self, served: Served, pointer: Pointer, shown_at: Versions | None = None) -> str | None:
        """The id of the delta of a base. What CURRENT names stands where it is whole and no table is newer than it shows.

        `shown_at` are versions whose rows are surely the base's (default: those of its manifest).
        """
        own = self._pinned(served.model_id)
        if is_there(self.context.store, served.delta_id) and is_at(self.context.store, served, own, pointer):
            self.deltas.ids[served.build_id] = served.delta_id
        elif shown_at and all(shown_at.get(table) == version for table, version in own.items()):
            self.deltas.ids[served.build_id] = None
        else:
            made = self._compare(open_base(self.context.store, served.build_id), shown_at)
            self.deltas.made[served.build_id] = made
            self.deltas.ids[served.build_id] = made.manifest.delta_id
            remove_unused_bases()
        return self.deltas.ids[served.build_id]

    def refuse_another_lake(self, pinned: Versions, pointer: Pointer) -> None:
        """Raises Misconfigured where the lake is known to be another, or a table's newest version is older, than what CURRENT
        covers: of one lake versions only grow.

        The lake is asked only where what is pinned is older, as it also is where another run was published meanwhile.
        """
        if pointer.is_of_another(self.lake_id):
            raise Misconfigured(
                f"{self.context.lake} is not the lake that CURRENT covers, but another, or it was made anew. {_WAYS_OUT}"
            )
        for path, covered in sorted(pointer.source_versions.items()):
            if pinned.get(path, covered) >= covered:
                continue
            newest = self.lake.version(_TABLES.get(path) or embeddings(path.removeprefix(EMBEDDINGS)))
            if newest < covered:
                raise Misconfigured(
                    f"{path} in {self.lake.root} is at version {newest}, but CURRENT covers {covered}: this is another "
                    f"lake, or it was made anew or restored. {_WAYS_OUT}"
                )

    def sources(self, model_id: str) -> Sources:
        return read_sources(self.lake, self.versions_of(model_id), model_id)

    def _pinned(self, model_id: str) -> dict[str, int]:
        """The pinned versions of the tables that a base of this model is made from, as far as they are pinned."""
        return {path: version for path, version in self.deltas.versions.items() if path in source_tables(model_id)}

    def versions_of(self, model_id: str) -> dict[str, int]:
        """The pinned versions of all tables that a base of this model is made from. Receipts say nothing of the vectors of another model: those that there are now count."""
        table = embeddings(model_id)
        if table.path not in self.deltas.versions:
            self.deltas.versions[table.path] = self.lake.version(table)
        return self._pinned(model_id)

    def _compare(self, base: Segment, shown_at: Versions | None) -> Made:
        started = time.monotonic()
        model_id = base.manifest.model_id
        own = self.versions_of(model_id)
        sources = self.sources(model_id)
        changed = changed_products(self.lake, model_id, shown_at or base.manifest.source_versions, own)
        comparison = compare_with_base(base.items, sources, changed)
        new = read_new_vectors(comparison.new, sources.vectors, base.manifest.dimension)
        written = self._write_thumbnails(new.items, sources)
        with tempfile.TemporaryDirectory(prefix="shoplens-delta-") as scratch:
            manifest = write_delta(
                base, replace(comparison, new=new.items), new.vectors, out_folder=Path(scratch),
                source_versions=dict(own), interval_end=self.interval_end, runtimes=new.runtimes,
            )  # fmt: skip
            DELTA_FOLDERS.upload(self.context.store, Path(scratch) / manifest.delta_id)
        compared = None if changed is None else len(changed)
        return Made(manifest, compared, written, time.monotonic() - started)

    def _write_thumbnails(self, new: pa.Table, sources: Sources) -> int:
        if not new.num_rows:
            return 0
        ids = self.lake.spark.createDataFrame(pa.table({"image_id": new.column("image_id").unique()}))
        return write_thumbnails(ids, sources.images, self.context.store)[0]


def source_tables(model_id: str) -> Sequence[str]:
    """The paths of the tables that make the rows of a base."""
    return (PRODUCTS.path, PRODUCT_IMAGES.path, IMAGE_FETCHES.path, IMAGES.path, embeddings(model_id).path)
