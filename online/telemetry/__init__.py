"""What the searcher tells those who run it: log lines, metrics, traces, and events for the learning loop."""
