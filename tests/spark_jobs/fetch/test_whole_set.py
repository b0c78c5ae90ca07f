"""Placeholders and near-duplicates of a set of photos, against what looking at all of them finds."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.fetch.measures import hamming_distance
from spark_jobs.fetch.whole_set import content_key, count_links, nearest_originals, placeholder_hashes

pytestmark = pytest.mark.full


def counted_as(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So few rows that every executor gets them, or so many that they are shuffled."""
    if not few:
        monkeypatch.setattr("spark_jobs.running.session.BROADCAST_ROWS_MAX", 0)


def counted(photos: DataFrame, links: DataFrame) -> DataFrame:
    """The photos with what `count_links` says of each."""
    return photos.withColumn("content", content_key()).join(count_links(links), "content", "left").drop("content")


@pytest.mark.parametrize("few", [True, False])
def test_placeholders_are_the_pictures_on_more_designs_than_allowed(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    """Of random links; a design is a group, or a title where groups differ and titles do not."""
    counted_as(few, monkeypatch)
    draw = np.random.default_rng(5)
    photos = [(f"c{number}", number // 2) for number in range(40)]
    shown = [
        (f"g{draw.integers(12)}", f"t{draw.integers(9)}" if draw.random() < 0.8 else None, f"c{draw.integers(60)}")
        for _ in range(160)
    ]
    shown += [(f"g{number}", "one title", "c0") for number in range(6)] + [
        ("one group", f"t{n}", "c2") for n in range(6)
    ]
    designs: dict[int, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    hash_of = dict(photos)
    for group, title, content in shown:
        if content in hash_of:
            groups, titles = designs[hash_of[content]]
            groups.add(group)
            titles.add(title or group)
    expected = {phash for phash, (groups, titles) in designs.items() if min(len(groups), len(titles)) > 4}
    links = spark.createDataFrame(
        [(f"u{content}-{number % 3}", group, title, content) for number, (group, title, content) in enumerate(shown)],
        "url string, group_id string, title string, content_sha256 string",
    )
    every = spark.createDataFrame(photos, "content_sha256 string, phash bigint")
    found = placeholder_hashes(links, counted(every, links), 4)
    assert {row["phash"] for row in found.collect()} == expected
    assert 0 < len(expected) < len(designs)


@pytest.mark.parametrize("few", [True, False])
def test_near_duplicates_are_what_comparing_all_pairs_finds(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    counted_as(few, monkeypatch)
    draw = np.random.default_rng(3)
    hashes = [int(value) for value in draw.integers(-(2**63), 2**63 - 1, 40)]
    for value in hashes[:25]:
        for flips in (1, 3, 4, 5):
            bits = draw.choice(64, flips, replace=False)
            mask = sum(1 << int(bit) for bit in bits)
            changed = (value ^ mask) & (2**64 - 1)
            hashes.append(changed - 2**64 if changed >= 2**63 else changed)
    photos = [(f"c{number:03d}", value) for number, value in enumerate(hashes)]
    expected: dict[str, str] = {}
    for (one, first), (other, second) in combinations(photos, 2):
        if hamming_distance(first, second) <= 4:
            expected[other] = min(one, expected.get(other, one))
    frame = spark.createDataFrame(photos, "content_sha256 string, phash bigint")
    originals = frame.join(nearest_originals(frame, frame, 4), "phash").where("original < content_sha256").collect()
    assert {row["content_sha256"]: row["original"] for row in originals} == expected


def test_links_and_urls_of_a_content_are_counted(spark: SparkSession) -> None:
    shown = [("a", "one"), ("a", "one"), ("b", "one"), ("c", "two"), ("d", None), ("e", None)]
    links = spark.createDataFrame(shown, "url string, content_sha256 string")
    rows = counted(links.select("content_sha256").distinct(), links).collect()
    assert {row["content_sha256"]: (row["links"], row["urls"]) for row in rows} == {
        "one": (3, 2), "two": (1, 1), None: (None, None),
    }  # fmt: skip
    assert count_links(links).where("content is null").collect()[0]["urls"] == 2
