"""Make the delta of every base that CURRENT names: what changed in the tables since the base was built.

Reads the receipts of ingest_catalog, fetch_images and embed_images, and compares the bases with the tables at the
versions that they pin. Where no table is newer than what a base with its delta shows, that delta stands and nothing is
read. A base that is kept for a rollback and is gone or damaged keeps the delta that it had. Publishes nothing. With
--base, and without receipts, one base is brought to what CURRENT covers and judged: what a rollback to an old build
asks for.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.pointer import named_bases, read_pointer
from schemas.delta import delta_key
from schemas.errors import BadData, MissingReceipt
from schemas.pointer import Pointer, Served
from schemas.receipts import Receipt
from schemas.tables import embeddings
from spark_jobs.build_index import read_pins
from spark_jobs.index_delta.make import DeltaMaker, Deltas
from spark_jobs.index_delta.verdict import evaluate_delta
from spark_jobs.running.job import JobContext, job_parser, run_job

JOB = "build_delta"
NOTHING_PUBLISHED = "nothing is published yet: catalog_nightly makes the first index"

log = logging.getLogger("shoplens")


def build_delta(context: JobContext, arguments: argparse.Namespace) -> Receipt:
    found = read_pointer(context.store)
    if found is None:
        return context.receipt(facts={"skipped": NOTHING_PUBLISHED})
    pointer = found[0]
    bases = [_base(context, pointer, build_id) for build_id in arguments.base] or named_bases(pointer)
    versions, lake_id = _pinned_versions(context, pointer, by_hand=bool(arguments.base))
    maker = DeltaMaker(context, versions, max(context.interval.key, pointer.interval_end), lake_id)
    maker.refuse_another_lake(versions, pointer)
    kept = []
    for served in bases:
        try:
            delta_id = maker.make(served, pointer)
        except BadData as error:
            if arguments.base or served == pointer.live:
                raise
            log.warning("build %s keeps the delta that it had: %s", served.build_id, error)
            maker.deltas.ids[served.build_id] = served.delta_id
            kept.append(served.build_id)
            continue
        if arguments.base and delta_id and served.build_id in maker.deltas.made:
            evaluate_delta(maker, served.build_id, delta_id, thoroughly=True)
    return _receipt(context, maker.deltas, bases[0], kept, lake_id)


def _receipt(context: JobContext, deltas: Deltas, leading: Served, kept: Sequence[str], lake_id: str) -> Receipt:
    """Counts are those of the first base: the live one, unless others were named. `kept` could be given no delta."""
    made = deltas.made.get(leading.build_id)
    counts: dict[str, int] = {}
    facts: dict[str, object] = {"base": leading.build_id, "deltas": deltas.ids, "unchanged": not deltas.made,
                                "lake_id": lake_id}  # fmt: skip
    if made:
        manifest = made.manifest
        counts = {"rows": manifest.rows, "tombstones": manifest.tombstones, "changed": manifest.changed}
        counts |= {"base_rows": manifest.base_rows, "thumbnails_written": made.thumbnails_written}
        if made.products_compared is not None:
            counts["products_compared"] = made.products_compared
        facts["compared"] = "all products" if made.products_compared is None else "what the change feeds name"
    if kept:
        facts["kept"] = kept
    facts["wants_rebuild"] = _wants_rebuild(context, deltas.ids[leading.build_id])
    return context.receipt(
        counts=counts,
        table_versions=deltas.versions,
        files={build_id: delta_key(delta_id) for build_id, delta_id in deltas.ids.items() if delta_id},
        figures={
            "bytes_written": sum(
                entry.bytes for each in deltas.made.values() for entry in each.manifest.files.values()
            ),
            **{f"seconds_{build_id}": round(each.seconds, 3) for build_id, each in deltas.made.items()},
        },
        facts=facts,
    )


def _wants_rebuild(context: JobContext, delta_id: str | None) -> bool:
    found = DELTA_FOLDERS.find(context.store, delta_id) if delta_id else None
    return found is not None and found.wants_rebuild


def _pinned_versions(context: JobContext, pointer: Pointer, *, by_hand: bool) -> tuple[dict[str, int], str]:
    """The versions to compare with, and the id of the lake that they are of, as far as the receipts say it."""
    try:
        pinned = read_pins(context)
    except MissingReceipt:
        if not by_hand:
            raise
        return pointer.source_versions, pointer.lake_id
    if embeddings(pointer.live.model_id).path not in pinned.versions:
        log.warning(
            "photos are embedded with %s, but the live base is of %s: new ones are found from the next hour on",
            pinned.model_id, pointer.live.model_id,
        )  # fmt: skip
    return pinned.versions, pinned.lake_id


def _base(context: JobContext, pointer: Pointer, build_id: str) -> Served:
    """One that CURRENT names, with its delta, or any that its history or the store has."""
    known = [*named_bases(pointer), *(line.live for line in pointer.history)]
    for served in known:
        if served.build_id == build_id:
            return served
    found = BUILD_FOLDERS.find(context.store, build_id)
    if found is None:
        raise BadData(f"there is no build {build_id} in {context.store.uri}: see `shoplens index list`")
    return Served(build_id, found.model_id)


def parser() -> argparse.ArgumentParser:
    made = job_parser(__doc__)
    made.add_argument("--base", action="append", default=[], help="only this build; repeatable (default: CURRENT's)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    return run_job(JOB, parser(), build_delta, argv)


if __name__ == "__main__":
    sys.exit(main())
