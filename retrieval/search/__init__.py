"""Searching: an open build, a delta laid over it, filters without loss of recall, and figures of how good it is."""
