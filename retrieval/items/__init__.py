"""The items of an index: their table, their columns to filter by, and both with a delta laid over them."""
