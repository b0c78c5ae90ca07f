"""Print, as JSON, how many business rows differ between two Delta versions of each table of a lake.

Runs in the pipeline environment: python -m tests.dags.differing_rows LAKE '{"products": [3, 5], …}'
"""

import json
import sys

from pyspark.sql import functions as F

from schemas.tables import PRODUCT_BUSINESS_COLUMNS
from spark_jobs.running.session import open_session

# What may differ between two runs of an interval: attempts, times and bookkeeping.
BOOKKEEPING = {"attempts", "failures_in_a_row", "next_try_at", "fetched_as_of", "source_interval", "figures"}


def main(lake: str, versions: dict[str, list[int]]) -> None:
    spark = open_session("differing_rows")
    found = {}
    for path, (before, after) in versions.items():
        reader = spark.read.format("delta")
        old, new = (reader.option("versionAsOf", number).load(f"{lake}/{path}") for number in (before, after))
        kept = PRODUCT_BUSINESS_COLUMNS if path == "products" else [c for c in old.columns if c not in BOOKKEEPING]
        old, new = (rows.select(F.to_json(F.struct(*kept)).alias("row")) for rows in (old, new))
        found[path] = {"rows": new.count(), "lost": old.exceptAll(new).count(), "gained": new.exceptAll(old).count()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
