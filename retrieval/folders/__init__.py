"""Builds and deltas as folders that never change: checked on disk, sent to the store and fetched from it."""
