"""The gate's verdict on one base with its delta, asked before anything is published."""

import tempfile
from pathlib import Path

from pyspark.sql import functions as F

from retrieval.folders.evaluations import write_evaluation
from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment
from retrieval.search.view import View
from schemas.delta import DeltaEvaluation
from schemas.errors import GateFailed
from schemas.manifest import thumbnail_key
from spark_jobs.index_build.gate import Findings
from spark_jobs.index_build.golden import read_golden
from spark_jobs.index_build.source_rows import Sources, count_rows
from spark_jobs.index_delta.bases import base_cache_folder, open_base
from spark_jobs.index_delta.gate import check_golden, check_recall, check_view
from spark_jobs.index_delta.make import DeltaMaker
from spark_jobs.running.job import JobContext

_THUMBNAILS_LOOKED_AT = 50


def evaluate_delta(
    maker: DeltaMaker, build_id: str, delta_id: str, *, thoroughly: bool, goal: float | None = None
) -> Findings:
    """What the gate finds of one base with its delta, noted beside the evaluations of builds. Raises GateFailed, BadData."""
    store = maker.context.store
    base = open_base(store, build_id)
    with tempfile.TemporaryDirectory(prefix="shoplens-gate-") as scratch:
        delta = open_delta(DELTA_FOLDERS.fetch(store, delta_id, Path(scratch)), base.manifest, verify=False)
        view = View.of(base, delta)
        sources = maker.sources(base.manifest.model_id)
        findings = check_view(view, count_rows(sources), deleted_products(sources))
        if thoroughly:
            findings.add(check_golden(view, read_golden(base_cache_folder() / build_id, base)))
            findings.add(check_recall(view, goal or float(base.manifest.parameters["recall_goal"])))
            findings.add(check_thumbnails(delta.segment, maker.context))
    write_evaluation(store, DeltaEvaluation(
        delta_id=delta_id, base_build_id=build_id, passed=not findings.failures,
        source_versions=maker.versions_of(base.manifest.model_id), interval_end=maker.interval_end,
        failures=tuple(findings.failures), figures=findings.figures,
    ))  # fmt: skip
    if findings.failures:
        raise GateFailed(f"{build_id} with delta {delta_id}", findings.failures)
    return findings


def deleted_products(sources: Sources) -> list[str]:
    """Product ids that must not be found."""
    ids = sources.products.where(F.col("deleted")).select("product_id").toArrow().column("product_id")
    return list(ids.to_pylist())


def check_thumbnails(new: Segment | None, context: JobContext) -> Findings:
    """A spread of the new photos have their tiles in the store."""
    if new is None:
        return Findings()
    step = max(1, new.manifest.rows // _THUMBNAILS_LOOKED_AT)
    photos = [new.items.column("image_id")[row].as_py() for row in range(0, new.manifest.rows, step)]
    missing = [photo for photo in photos if context.store.size(thumbnail_key(photo)) is None]
    findings = Findings(figures={"thumbnails_missing": len(missing)})
    if missing:
        findings.failures.append(f"{len(missing)} of {len(photos)} new photos have no {thumbnail_key(missing[0])}")
    return findings
