"""The gate for deltas: no delta is published unless this passes.

For every base that got one: its rows without the dead and with the new ones are those of the tables at the pinned
versions, and none is of a deleted product. For the live base also: its golden queries still answer, and recall of base
and delta together is that of the build. Where the live base's delta fails the job ends with 65, and CURRENT stays as it is;
another base keeps the delta that it had. What was found goes to `evaluations/<delta id>.json`.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from retrieval.publishing.pointer import named_bases, read_pointer
from retrieval.store.objects import ObjectStore
from schemas.errors import BadData
from schemas.receipts import Receipt
from spark_jobs.index_delta.make import DeltaMaker
from spark_jobs.index_delta.verdict import evaluate_delta
from spark_jobs.running.job import JobContext, job_parser, run_job, share_of_one

JOB = "evaluate_delta"

log = logging.getLogger("shoplens")


def evaluate(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    built = context.receipt_of("build_delta")
    if skipped := built.facts.get("skipped"):
        return context.receipt(facts={"skipped": skipped})
    maker = DeltaMaker(context, built.table_versions, context.interval.key, str(built.facts.get("lake_id", "")))
    ids: dict[str, str | None] = built.fact("deltas")
    figures: dict[str, float] = {}
    kept: dict[str, str | None] = {}
    for build_id, delta_id in ids.items():
        # Published before, or the base itself, which passed its own gate.
        if built.fact("unchanged") or delta_id is None or build_id in built.facts.get("kept", ()):
            continue
        is_live = build_id == built.fact("base")
        try:
            findings = evaluate_delta(maker, build_id, delta_id, thoroughly=is_live, goal=arguments.recall_goal)
        except BadData as error:
            if is_live:
                raise
            # What is kept for a rollback must not keep news from the live one: until it has a delta, rolling back says so.
            log.warning("build %s keeps the delta that it had: %s", build_id, error)
            kept[build_id] = standing_delta(context.store, build_id)
            continue
        figures |= {f"{build_id}_{name}" if not is_live else name: value for name, value in findings.figures.items()}
    return context.receipt(figures=figures, facts={"deltas": ids, "kept": kept, "passed": True})


def standing_delta(store: ObjectStore, build_id: str) -> str | None:
    """The delta with which CURRENT names a base."""
    found = read_pointer(store)
    named = named_bases(found[0]) if found else []
    return next((served.delta_id for served in named if served.build_id == build_id), None)


def parser() -> argparse.ArgumentParser:
    made = job_parser(__doc__)
    made.add_argument("--recall-goal", type=share_of_one, help="recall at 10 (default: the base's own goal)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, parser(), evaluate, argv)


if __name__ == "__main__":
    sys.exit(main())
