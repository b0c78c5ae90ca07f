"""The gate: nothing is published unless this passes.

Asks the build of this interval for recall against exact search on every slice, counts its rows against the source
tables at the pinned versions, asks its golden queries, looks for its thumbnails, and compares first results with the
live build. Figures go to `evaluations/<build id>.json` and to the table `builds`, also where the build fails (exit 65).
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import functions as F

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.search.segments import Segment, open_build
from schemas.errors import BadData, GateFailed
from schemas.intervals import parse_time
from schemas.receipts import Receipt
from schemas.tables import BUILDS
from spark_jobs.build_index import load_text_encoder, read_pins
from spark_jobs.index_build.difference import check_difference
from spark_jobs.index_build.gate import Findings, check_golden, check_recall, check_rows, check_thumbnails
from spark_jobs.index_build.golden import read_golden
from spark_jobs.index_build.source_rows import count_rows, read_sources
from spark_jobs.lake.tables import Lake, retry_conflicts
from spark_jobs.running.earlier_run import earlier_receipt
from spark_jobs.running.job import JobContext, job_parser, run_job, share_of_one
from spark_jobs.running.session import open_session

JOB = "evaluate_index"

log = logging.getLogger("shoplens")


def evaluation_key(build_id: str) -> str:
    """The object key of a build's figures: evaluations/<id>.json."""
    return f"evaluations/{build_id}.json"


def evaluate(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    built = context.receipt_of("build_index")
    if skipped := built.facts.get("skipped"):
        return context.receipt(facts={"skipped": skipped})
    build_id = str(built.fact("build_id"))
    pinned = read_pins(context)
    passed_before = built.facts.get("same_as_before") is True and has_passed_before(context, build_id)
    with tempfile.TemporaryDirectory(prefix="shoplens-gate-") as scratch:
        folder = BUILD_FOLDERS.fetch(context.store, build_id, Path(scratch))
        segment = open_build(folder, verify=False)
        goal = arguments.recall_goal or float(segment.manifest.parameters["recall_goal"])
        findings = check_recall(segment, goal, load_text_encoder(context, pinned))
        if passed_before:  # its rows were counted in tables that say the same
            findings.add(check_rows(segment, rows_of(segment)))
        else:
            sources = read_sources(open_lake(context), built.table_versions, pinned.model_id)
            rows = check_rows(segment, count_rows(sources))
            findings.add(check_rows(segment, count_rows(sources, exactly=True)) if rows.failures else rows)
        findings.add(check_golden(segment, read_golden(folder, segment)))
        findings.add(check_thumbnails(segment, context.store))
        findings.add(compare_with_live(segment, context, Path(scratch)))
        record(findings, segment, context, is_noted=passed_before)
    if findings.failures:
        raise GateFailed(build_id, findings.failures)
    return context.receipt(
        counts=rows_of(segment),
        files={"evaluation": evaluation_key(build_id)},
        figures=findings.figures,
        facts={"build_id": build_id, "passed": True},
    )


def has_passed_before(context: JobContext, build_id: str) -> bool:
    """Whether the gate passed this build in the run of the interval before."""
    earlier = earlier_receipt(context, JOB)
    return earlier is not None and earlier.facts.get("build_id") == build_id and earlier.facts.get("passed") is True


def rows_of(segment: Segment) -> dict[str, int]:
    return {"rows": segment.manifest.rows, "products": segment.manifest.products}


def open_lake(context: JobContext) -> Lake:
    return Lake(open_session(JOB, s3=context.uses_s3, lake=context.lake), context.lake)


def compare_with_live(segment: Segment, context: JobContext, scratch: Path) -> Findings:
    """Nothing to compare for a first build, the live one itself, or another model (that one is compared by figures).

    Nor where the live one is gone or damaged: this build is what mends it.
    """
    found = read_pointer(context.store)
    if found is None or found[0].live.build_id == segment.manifest.build_id:
        return Findings()
    try:
        folder = BUILD_FOLDERS.fetch(context.store, found[0].live.build_id, scratch)
    except BadData as error:
        log.warning("first results are not compared with those of the live build: %s", error)
        return Findings()
    live = open_build(folder, verify=False)
    same_model = live.manifest.model_fingerprint == segment.manifest.model_fingerprint
    return check_difference(segment, live) if same_model else Findings()


def record(findings: Findings, segment: Segment, context: JobContext, *, is_noted: bool) -> None:
    """Keep the figures, whether the build passed or not. `is_noted`: the run before did, and these may be the same."""
    manifest, passed = segment.manifest, not findings.failures
    figures = {"passed": passed, "failures": findings.failures, "figures": findings.figures}
    text = json.dumps({"build_id": manifest.build_id, **figures}, sort_keys=True, indent=1).encode()
    stored = context.store.get(evaluation_key(manifest.build_id))
    if is_noted and stored and stored.data == text:
        return
    context.store.put(evaluation_key(manifest.build_id), text)
    made = parse_time(manifest.interval_end)
    row = (manifest.build_id, manifest.model_id, made, manifest.rows, findings.figures.get("recall_photo"), passed,
           json.dumps(figures, sort_keys=True))  # fmt: skip
    lake = open_lake(context)
    known = lake.read(BUILDS).where(F.col("build_id") == manifest.build_id).select("figures").first()
    if known is None or known["figures"] != row[-1]:
        retry_conflicts(lambda: _merge_build(lake, row))


def _merge_build(lake: Lake, row: tuple[object, ...]) -> None:
    ddl = ", ".join(f"{column.name} {column.sql_type}" for column in BUILDS.columns)
    made = lake.spark.createDataFrame([row], ddl).alias("made")
    merge = lake.to_write(BUILDS).alias("known").merge(made, "known.build_id = made.build_id")
    merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()


def main(argv: Sequence[str] | None = None) -> int:
    parser = job_parser(__doc__)
    parser.add_argument(
        "--recall-goal", type=share_of_one, help="recall at 10 on every slice (default: the build's own goal)"
    )
    return run_job(JOB, parser, evaluate, argv)


if __name__ == "__main__":
    sys.exit(main())
