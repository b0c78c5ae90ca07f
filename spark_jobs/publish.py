"""Make the evaluated build of one data interval live: a compare-and-swap on CURRENT.

A build that did not pass the gate is refused. CURRENT never goes back in time: where hourly deltas cover newer tables
than the build, it goes live together with a delta that catches up, and the base that was live gets one too. A night older
than the live base's leaves CURRENT where it is and says so. After a rollback publishing is on hold: the job ends well and
its receipt says `held`. Spark is started only where a delta must be made.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from retrieval.publishing.pointer import Published, read_pointer
from schemas.errors import GateFailed, PublishingHeld
from schemas.receipts import Receipt
from spark_jobs.index_delta.catch_up import BuiltBase, publish_caught_up
from spark_jobs.running.job import JobContext, job_parser, run_job

JOB = "publish"

log = logging.getLogger("shoplens")


def publish_build(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    built = context.receipt_of("build_index")
    if skipped := built.facts.get("skipped"):
        return context.receipt(facts={"skipped": skipped})
    build_id = str(built.fact("build_id"))
    evaluated = context.receipt_of("evaluate_index")
    if evaluated.facts.get("build_id") != build_id or not evaluated.facts.get("passed"):
        raise GateFailed(build_id, ["evaluate_index did not pass it: run it again for this interval"])
    try:
        published = publish_caught_up(
            context,
            BuiltBase(build_id, str(built.fact("model_id")), built.table_versions, built.facts.get("lake_id", "")),
            f"{context.dag}/{context.interval.key}/{build_id}", new_lake=arguments.new_lake,
        )  # fmt: skip
    except PublishingHeld as held:
        log.warning("%s", held)
        return context.receipt(facts={"build_id": build_id, "moved": False, "held": hold_reason(context)})
    if published.reason:
        log.info("CURRENT stays at generation %d: %s", published.pointer.generation, published.reason)
    return context.receipt(facts=facts_of(published, build_id))


def facts_of(published: Published, build_id: str) -> dict[str, object]:
    facts: dict[str, object] = {
        "build_id": build_id, "generation": published.pointer.generation, "moved": published.moved,
        "live": published.pointer.live.build_id,
    }  # fmt: skip
    if published.moved and (delta_id := published.pointer.live.delta_id):
        facts["delta"] = delta_id
    return facts | ({"reason": published.reason} if published.reason else {})


def hold_reason(context: JobContext) -> str:
    found = read_pointer(context.store)
    return found[0].hold.reason if found and found[0].hold else "released meanwhile"


def main(argv: Sequence[str] | None = None) -> int:
    parser = job_parser(__doc__)
    parser.add_argument(
        "--new-lake", action="store_true", help="the lake was made anew: its table versions start again"
    )
    return run_job(JOB, parser, publish_build, argv)


if __name__ == "__main__":
    sys.exit(main())
