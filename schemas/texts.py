"""What belongs to a shop's text and what does not: the same for what ingest keeps and for what a search asks with."""

OUTER_BLANKS = " \t\r\n\x0b\x0c\u00a0\u200b\ufeff"
"""Taken off both ends."""
