"""What a Lake does with a table that an earlier release made."""

from dataclasses import replace

import pytest

from schemas.errors import Misconfigured
from schemas.tables import IMAGE_FETCHES
from spark_jobs.lake.tables import Lake

pytestmark = pytest.mark.full


def test_a_table_without_its_change_feed_gets_it_once(lake: Lake) -> None:
    lake.ensure(replace(IMAGE_FETCHES, change_feed=False))
    assert lake.version(IMAGE_FETCHES) == 0
    for _ in range(2):
        again = Lake(lake.spark, lake.root)
        again.ensure(IMAGE_FETCHES)
        assert again.version(IMAGE_FETCHES) == 1
    feed = lake.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)
    assert feed.load(lake.path(IMAGE_FETCHES)).count() == 0


def test_a_version_that_is_not_there_is_one_line_that_says_which_are(lake: Lake) -> None:
    with pytest.raises(Misconfigured, match=r"has no version 7, only those of \[0, 0\]: name the right --lake"):
        lake.read(IMAGE_FETCHES, 7)
