"""From a question to its answer: composed, filtered, searched, ranked, counted and paged."""
