"""The making of a build: rows, coarse lists, shards, merge, tuning, manifest. `source_rows`, `distributed`, `thumbnails` know Spark."""
