"""Every number that the documents quote, as a command: `python -m bench.NAME [--json]`."""
