"""The gate's questions to an open build; each gives figures and, where the build does not pass, failures in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from retrieval.search.segments import Segment
from retrieval.store.objects import ObjectStore
from schemas.manifest import thumbnail_key
from spark_jobs.index_build.assemble import EncodeTexts
from spark_jobs.index_build.golden import GoldenQuery, wrong_answers
from spark_jobs.index_build.queries import filtered_slices, photo_slices, text_slice, words_to_ask
from spark_jobs.index_build.tuning import RECALL_AT, recall, with_truth

# Tuning drew its queries with the build's own seed; the gate asks others.
_SEED_OFFSET = 1_000
_UNIT_LENGTH_TOLERANCE = 1e-2
_BLOCK_ROWS = 65_536
_THUMBNAILS_LOOKED_AT = 50


@dataclass
class Findings:
    """What the gate measured (`figures`) and why the build does not pass (`failures`, empty where it does)."""

    figures: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.figures |= other.figures
        self.failures += other.failures


def check_recall(segment: Segment, goal: float, encode_texts: EncodeTexts | None) -> Findings:
    """Recall at 10 against exact search, slice by slice, with the tuned parameters. Slices of one name count together."""
    seed = int(segment.manifest.parameters.get("seed", 1)) + _SEED_OFFSET
    slices = photo_slices(segment, seed) + filtered_slices(segment, seed)
    if encode_texts and (words := words_to_ask(segment.items, offset=1)):
        slices.append(text_slice(encode_texts(words)))
    hits: dict[str, list[tuple[float, int]]] = {}
    for queries in slices:
        measured = recall(segment, with_truth(segment, queries))
        hits.setdefault(queries.name, []).append((measured, len(queries.unit_vectors)))
    findings = Findings()
    for name, parts in hits.items():
        value = sum(share * asked for share, asked in parts) / sum(asked for _, asked in parts)
        findings.figures[f"recall_{name}"] = round(value, 4)
        if value < goal:
            findings.failures.append(f"recall@{RECALL_AT} of {name} queries is {value:.4f}, below {goal}")
    return findings


def check_rows(segment: Segment, counted: Mapping[str, int]) -> Findings:
    """Rows and products are those counted in the source tables; no row stands twice; every vector has unit length."""
    findings = Findings(figures={"rows": segment.manifest.rows, "products": segment.manifest.products})
    for name, actual in (("rows", segment.manifest.rows), ("products", segment.manifest.products)):
        if actual != counted[name]:
            findings.failures.append(f"{actual} {name}, but {counted[name]} in the source tables")
    keys = segment.items.select(["product_id", "image_id"]).group_by(["product_id", "image_id"]).aggregate([])
    if twice := segment.manifest.rows - keys.num_rows:
        findings.failures.append(f"{twice} rows stand twice")
    crooked = 0
    for start in range(0, segment.manifest.rows, _BLOCK_ROWS):
        lengths = np.linalg.norm(np.asarray(segment.vectors[start : start + _BLOCK_ROWS], dtype=np.float32), axis=1)
        crooked += int(np.sum(~(np.abs(lengths - 1) < _UNIT_LENGTH_TOLERANCE)))
    if crooked:
        findings.failures.append(f"{crooked} vectors are not of unit length")
    return findings


def check_golden(segment: Segment, golden: Sequence[GoldenQuery]) -> Findings:
    """Every golden query gives one of its products first."""
    wrong = wrong_answers(segment, golden)
    findings = Findings(figures={"golden_queries": len(golden), "golden_wrong": len(wrong)})
    if wrong:
        findings.failures.append(f"{len(wrong)} of {len(golden)} golden queries fail, such as {wrong[0]}")
    return findings


def check_thumbnails(segment: Segment, store: ObjectStore) -> Findings:
    """A spread of the segment's photos, a build's or the new ones of a delta, have their tiles in the store."""
    step = max(1, segment.manifest.rows // _THUMBNAILS_LOOKED_AT)
    photos = [segment.items.column("image_id")[row].as_py() for row in range(0, segment.manifest.rows, step)]
    missing = [photo for photo in photos if store.size(thumbnail_key(photo)) is None]
    findings = Findings(figures={"thumbnails_missing": len(missing)})
    if missing:
        findings.failures.append(f"{len(missing)} of {len(photos)} photos have no {thumbnail_key(missing[0])}")
    return findings
