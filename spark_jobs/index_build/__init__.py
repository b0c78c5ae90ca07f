"""The making of a build, step by step and without Spark: rows, coarse lists, shards, merge, tuning, manifest."""
