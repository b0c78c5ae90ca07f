"""Make the deltas of one data interval live: a compare-and-swap on CURRENT that moves no base.

Deltas that did not pass the gate are refused. Where another base was published meanwhile the job ends with 75, and
build_delta must run again. CURRENT never goes back: older tables leave it where it is and say so. After a rollback
publishing is on hold: the job ends well and its receipt says `held`. Needs no Spark.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from retrieval.publishing.publish import publish_deltas
from schemas.errors import GateFailed, PublishingHeld
from schemas.receipts import Receipt
from spark_jobs.publish import hold_reason
from spark_jobs.running.job import JobContext, job_parser, run_job

JOB = "publish_deltas"

log = logging.getLogger("shoplens")


def publish(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    built, evaluated = context.receipt_of("build_delta"), context.receipt_of("evaluate_delta")
    if skipped := built.facts.get("skipped"):
        return context.receipt(facts={"skipped": skipped})
    ids: dict[str, str | None] = built.fact("deltas")
    if evaluated.facts.get("deltas") != ids or not evaluated.facts.get("passed"):
        raise GateFailed(str(built.fact("base")), ["evaluate_delta did not pass its delta: run it again"])
    ids = ids | evaluated.facts.get("kept", {})
    # Versions name what is published: the same hour run again over newer tables is another publish.
    versions = "-".join(str(version) for _, version in sorted(built.table_versions.items()))
    try:
        published = publish_deltas(
            context.store, ids, context.interval.key, built.table_versions,
            f"{context.dag}/{context.interval.key}/{built.fact('base')}/{versions}", built.facts.get("lake_id", ""),
        )  # fmt: skip
    except PublishingHeld as held:
        log.warning("%s", held)
        return context.receipt(facts={"moved": False, "held": hold_reason(context)})
    if published.reason:
        log.info("CURRENT stays at generation %d: %s", published.pointer.generation, published.reason)
    facts: dict[str, object] = {
        "generation": published.pointer.generation, "moved": published.moved,
        "live": published.pointer.live.build_id, "delta": published.pointer.live.delta_id,
    }  # fmt: skip
    return context.receipt(facts=facts | ({"reason": published.reason} if published.reason else {}))


def parser() -> argparse.ArgumentParser:
    return job_parser(__doc__)


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, parser(), publish, argv)


if __name__ == "__main__":
    sys.exit(main())
