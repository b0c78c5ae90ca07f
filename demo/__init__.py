"""A drawn fashion shop: a catalog with photos, its faults, its edits over time, its shoppers' queries and its server."""
