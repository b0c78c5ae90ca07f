"""Every number that the docs quote, as a command: `python -m bench.NAME [--json]`."""
