"""The gate for deltas: no delta is published unless this passes.

For every base that got one: its rows without the dead and with the new ones are those of the tables at the pinned
versions, and none is of a deleted product. For the live base also: its golden queries still answer, and recall of base
and delta together is that of the build. A delta that fails ends the job with 65, and CURRENT stays as it is. What was found goes to `evaluations/<delta id>.json`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
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
from schemas.receipts import Receipt
from spark_jobs.evaluate_index import count_rows
from spark_jobs.index_build.gate import Findings
from spark_jobs.index_build.golden import read_golden
from spark_jobs.index_delta.bases import base_cache_folder, open_base
from spark_jobs.index_delta.gate import check_golden, check_recall, check_view
from spark_jobs.index_delta.make import DeltaMaker
from spark_jobs.index_rows import Sources
from spark_jobs.job import JobContext, job_parser, run_job

JOB = "evaluate_delta"
_THUMBNAILS_LOOKED_AT = 50


def evaluate(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    built = context.receipt_of("build_delta")
    if skipped := built.facts.get("skipped"):
        return context.receipt(facts={"skipped": skipped})
    maker = DeltaMaker(context, built.table_versions, context.interval.key)
    ids: dict[str, str | None] = built.facts["deltas"]
    figures: dict[str, float] = {}
    for build_id, delta_id in ids.items():
        if (
            built.facts["unchanged"] or delta_id is None
        ):  # published before, or the base itself, which passed its own gate
            continue
        is_live = build_id == built.facts["base"]
        findings = evaluate_delta(maker, build_id, delta_id, thoroughly=is_live, goal=arguments.recall_goal)
        figures |= {f"{build_id}_{name}" if not is_live else name: value for name, value in findings.figures.items()}
    return context.receipt(figures=figures, facts={"deltas": ids, "passed": True})


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


def parser() -> argparse.ArgumentParser:
    made = job_parser(__doc__)
    made.add_argument("--recall-goal", type=float, help="recall at 10 (default: the base's own goal)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, parser(), evaluate, argv)


if __name__ == "__main__":
    sys.exit(main())
