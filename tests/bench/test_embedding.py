from pathlib import Path

import pytest

from bench import embedding
from bench.embedding import Subject, measure
from bench.peers import PEERS


class Spark:
    def __init__(self, rates: list[float]) -> None:
        self.rates = iter(rates)

    def round(self, subject: Subject, runtime: str) -> float:
        return next(self.rates)


def test_sides_take_turns_and_the_median_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = iter([100.0, 90.0, 10.0])
    monkeypatch.setattr(embedding, "bare_round", lambda subject, runtime: next(bare))
    monkeypatch.setattr(embedding, "peer_round", lambda subject: 15.0)
    monkeypatch.setattr(embedding, "runtime_figures", lambda subject: [])
    subject = Subject("default", Path("bundle"), (), Path("photos.parquet"))
    found = measure(subject, Spark([5.0, 90.0, 99.0]), "auto", 3, with_peer=True)  # type: ignore[arg-type]
    assert [(figure.against, figure.value, figure.ratio) for figure in found] == [
        ("bare Python, two processes", 90.0, 1.0),
        ("clip-retrieval", 90.0, 6.0),
    ]


def test_every_peer_is_pinned() -> None:
    assert all("==" in requirements[0] for requirements in PEERS.values())
