"""One hour in one Spark application: changes in the catalog → photos → vectors → deltas → gate → CURRENT.

Runs the jobs ingest_catalog (mode changes), fetch_images, embed_images, build_delta, evaluate_delta and publish_deltas,
one after another in one session; each leaves its own receipt under the DAG's name. --with hands an argument on:

    --with fetch_images=--per-host-at-once --with fetch_images=8

A job that fails ends the hour with its exit code. Before the first publish the rows land, and the rest is left to
catalog_nightly. Where a delta has grown past a tenth of its base, the receipt says `wants_rebuild`; not while publishing
is on hold, for no new base could go live.

Photos are embedded with the models of the bases that CURRENT names, and with --model once a night has begun with it.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from retrieval.publishing.pointer import named_bases, read_pointer
from schemas.errors import Misconfigured, ModelUnavailable
from schemas.receipts import Receipt
from schemas.tables import embeddings
from spark_jobs import build_delta, embed_images, evaluate_delta, fetch_images, ingest_catalog, publish_deltas
from spark_jobs.lake.tables import Lake
from spark_jobs.running.job import JobContext, job_parser, run_job
from spark_jobs.running.session import open_session

JOB = "apply_changes"

log = logging.getLogger("shoplens")


def embed_photos(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    """Vectors of every model that a base of CURRENT is of; the receipt is that of the live base's model.

    The first photos of a new model are a night's work, and no base of it is there to take them. Once that night has them,
    the hours add theirs: its base would else go live without what is new since.
    """
    found = read_pointer(context.store)
    if found is None:
        return embed_images.embed_images(context, arguments)
    models = {served.model_id: None for served in named_bases(found[0])}
    wanted = embed_images.find_model(context, arguments.model).model_id
    if wanted not in models and has_vectors(context, wanted):
        models[wanted] = None
    live, *others = models
    receipt = embed_with(live, context, arguments)
    for model_id in others:
        try:
            other = embed_with(model_id, context, arguments)
        except ModelUnavailable as error:  # of a base kept for a rollback: it must not keep the live one from its delta
            log.warning("no photo is embedded with %s: %s", model_id, error)
            continue
        receipt = replace(
            receipt,
            counts={name: count + other.counts[name] for name, count in receipt.counts.items()},
            table_versions=receipt.table_versions | other.table_versions,
        )
    return receipt


def embed_with(model_id: str, context: JobContext, arguments: argparse.Namespace) -> Receipt:
    return embed_images.embed_images(context, argparse.Namespace(**{**vars(arguments), "model": model_id}))


def has_vectors(context: JobContext, model_id: str) -> bool:
    lake, table = Lake(open_session(JOB, s3=context.uses_s3), context.lake), embeddings(model_id)
    return lake.exists(table) and lake.version(table) > 0  # version 0 made it, empty


Body = Callable[[JobContext, argparse.Namespace], Receipt]
STEPS: Mapping[str, tuple[Callable[[], argparse.ArgumentParser], Body]] = {
    ingest_catalog.JOB: (ingest_catalog.parser, ingest_catalog.ingest_interval),
    fetch_images.JOB: (fetch_images.fetch_parser, fetch_images.fetch_images),
    embed_images.JOB: (embed_images.embed_parser, embed_photos),
    build_delta.JOB: (build_delta.parser, build_delta.build_delta),
    evaluate_delta.JOB: (evaluate_delta.parser, evaluate_delta.evaluate),
    publish_deltas.JOB: (publish_deltas.parser, publish_deltas.publish),
}


def apply_changes(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    parsed = {step: parse_step(step, arguments) for step in STEPS}  # a wrong argument ends the hour before it begins
    open_shared_session(context, arguments)
    receipts = {}
    for step, (_, body) in STEPS.items():
        receipts[step] = run_step(replace(context, job=step), body, parsed[step])
    published, built = receipts[publish_deltas.JOB], receipts[build_delta.JOB]
    return context.receipt(
        counts={
            f"{step}_{name}": count for step, receipt in receipts.items() for name, count in receipt.counts.items()
        },
        table_versions={
            path: version for receipt in receipts.values() for path, version in receipt.table_versions.items()
        },
        figures={f"{step}_seconds": receipt.figures["seconds"] for step, receipt in receipts.items()},
        facts={
            **published.facts,
            "wants_rebuild": bool(built.facts.get("wants_rebuild")) and "held" not in published.facts,
        },
    )


def run_step(context: JobContext, body: Body, arguments: argparse.Namespace) -> Receipt:
    """One job as it would run by itself, within this process; its receipt is written before the next begins."""
    started = time.monotonic()
    log.info("%s begins", context.job)
    try:
        receipt = body(context, arguments)
    except Exception:
        log.error("%s failed", context.job)
        raise
    receipt.figures.setdefault("seconds", round(time.monotonic() - started, 3))
    context.write_receipt(receipt)
    return receipt


def parse_step(step: str, arguments: argparse.Namespace) -> argparse.Namespace:
    """A job's own arguments: what the hour was given, then what --with hands on."""
    given = {
        ingest_catalog.JOB: {
            "--catalog": arguments.catalog, "--mapping": arguments.mapping, "--mode": arguments.mode,
        },
        embed_images.JOB: {"--model": arguments.model},
    }.get(step, {})  # fmt: skip
    line = [
        "--lake", arguments.lake, "--store", arguments.store, "--dag", arguments.dag,
        "--interval-start", arguments.interval_start.isoformat(), "--interval-end", arguments.interval_end.isoformat(),
    ]  # fmt: skip
    line += [word for option, value in given.items() for word in (option, value)]
    if step == ingest_catalog.JOB and arguments.may_be_late:
        line.append("--may-be-late")
    for handed_on in arguments.hand_on:
        name, found, word = handed_on.partition("=")
        if name not in STEPS or not found:
            raise Misconfigured(f"--with {handed_on}: write JOB=ARGUMENT, with one of {', '.join(STEPS)}")
        line += [word] if name == step else []
    return STEPS[step][0]().parse_args(line)


def open_shared_session(context: JobContext, arguments: argparse.Namespace) -> None:
    """With what any of the jobs would set before the first of them opens it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker, one worker a core
    catalog_is_on_s3 = arguments.catalog.startswith(("s3:", "s3a:"))
    open_session(
        f"{context.dag} {context.interval.key}", s3=context.uses_s3 or catalog_is_on_s3,
        settings={"spark.executorEnv.OMP_NUM_THREADS": "1"}, lake=context.lake,
    )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = job_parser(__doc__)
    made.add_argument(
        "--catalog", required=True, help="the changes of the interval: a folder, file, prefix or database"
    )
    made.add_argument("--mapping", required=True, help="TOML file: which of their columns are ours")
    made.add_argument("--mode", choices=["changes", "snapshot"], default="changes")
    made.add_argument(
        "--may-be-late",
        action="store_true",
        help="where no changes are there yet, end with 75: the scheduler tries again",
    )
    made.add_argument("--model", required=True, help="bundle folder, or a model id under models/ in the store")
    made.add_argument(
        "--with", dest="hand_on", action="append", default=[], metavar="JOB=ARGUMENT",
        help="one more argument for one of the jobs; repeatable",
    )  # fmt: skip
    return made


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, parser(), apply_changes, argv)


if __name__ == "__main__":
    sys.exit(main())
