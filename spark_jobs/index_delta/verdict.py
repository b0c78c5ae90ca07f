"""The gate's verdict on one base with its delta, asked before anything is published."""

import tempfile
from pathlib import Path

from pyspark.sql import functions as F

from retrieval.folders.evaluations import write_evaluation
from retrieval.folders.kinds import DELTA_FOLDERS
from retrieval.search.deltas import open_delta
from retrieval.search.view import View
from schemas.delta import DeltaEvaluation
from schemas.errors import GateFailed
from spark_jobs.index_build.gate import Findings, check_thumbnails
from spark_jobs.index_build.golden import read_golden
from spark_jobs.index_build.source_rows import Sources, count_rows
from spark_jobs.index_delta.bases import base_cache_folder, open_base
from spark_jobs.index_delta.gate import check_golden, check_recall, check_view
from spark_jobs.index_delta.make import DeltaMaker


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
        deleted = deleted_products(sources)
        findings = check_view(view, count_rows(sources), deleted)
        if findings.failures:
            findings = check_view(view, count_rows(sources, exactly=True), deleted)
        if thoroughly:
            findings.add(check_golden(view, read_golden(base_cache_folder() / build_id, base)))
            findings.add(check_recall(view, goal or float(base.manifest.parameters["recall_goal"])))
            if delta.segment is not None:
                findings.add(check_thumbnails(delta.segment, store))
    write_evaluation(store, DeltaEvaluation(
        delta_id=delta_id, base_build_id=build_id, passed=not findings.failures,
        source_versions=maker.versions_of(base.manifest.model_id), interval_end=maker.interval_end,
        failures=tuple(findings.failures), figures=findings.figures, lake_id=maker.lake_id,
    ))  # fmt: skip
    if findings.failures:
        raise GateFailed(f"{build_id} with delta {delta_id}", findings.failures)
    return findings


def deleted_products(sources: Sources) -> list[str]:
    """Product ids that must not be found."""
    ids = sources.products.where(F.col("deleted")).select("product_id").toArrow().column("product_id")
    return list(ids.to_pylist())
