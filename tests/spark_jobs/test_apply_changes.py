"""One application for six jobs: what each is told, and what is left when one fails. The jobs are stand-ins here."""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrieval.store.objects import FolderStore
from schemas.errors import EXIT_MISCONFIGURED, EXIT_TRY_AGAIN, ModelUnavailable, PointerMoved
from schemas.pointer import POINTER_KEY, Pointer, Served
from schemas.receipts import Receipt, failure_key, receipt_key
from spark_jobs import apply_changes, embed_images
from spark_jobs.running.job import JobContext

HOUR = "20260131T030000Z"


class Jobs:
    """Stand-ins for the six jobs, which note what they were given."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, JobContext, argparse.Namespace]] = []
        self.facts: dict[str, dict[str, Any]] = {}
        self.failing: str | None = None

    def run(self, context: JobContext, arguments: argparse.Namespace) -> Receipt:
        self.ran.append((context.job, context, arguments))
        if context.job == self.failing:
            raise PointerMoved("CURRENT names base b, published meanwhile")
        return context.receipt(counts={"rows": 1}, facts=self.facts.get(context.job, {}))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.ran]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    made = Jobs()
    steps = {step: (parser, made.run) for step, (parser, _) in apply_changes.STEPS.items()}
    monkeypatch.setattr(apply_changes, "STEPS", steps)
    monkeypatch.setattr(apply_changes, "open_shared_session", lambda *_: None)
    return made


def run(folder: Path, *more: str) -> int:
    return apply_changes.main([
        "--lake", str(folder / "lake"), "--store", str(folder / "store"), "--dag", "catalog_hourly",
        "--interval-start", "2026-01-31T02:00:00+00:00", "--interval-end", "2026-01-31T03:00:00+00:00",
        "--catalog", "/changes", "--mapping", "shop.toml", "--model", "m", *more,
    ])  # fmt: skip


def receipt(folder: Path, job: str) -> Receipt | None:
    found = FolderStore(folder / "store").get(receipt_key("catalog_hourly", HOUR, job))
    return Receipt.from_json(found.data) if found else None


def test_the_six_jobs_run_in_order_and_each_leaves_its_receipt(jobs: Jobs, tmp_path: Path) -> None:
    jobs.facts = {"build_delta": {"wants_rebuild": True}, "publish_deltas": {"moved": True}}
    assert run(tmp_path) == 0
    assert jobs.names == list(apply_changes.STEPS)
    assert all(receipt(tmp_path, job) for job in jobs.names)
    whole = receipt(tmp_path, "apply_changes")
    assert whole is not None
    assert whole.facts == {"moved": True, "wants_rebuild": True}
    assert whole.counts["build_delta_rows"] == 1


def test_each_job_is_told_what_it_would_be_told_by_itself(jobs: Jobs, tmp_path: Path) -> None:
    assert run(tmp_path, "--with", "fetch_images=--per-host-at-once", "--with", "fetch_images=8") == 0
    told = {name: arguments for name, _, arguments in jobs.ran}
    assert (told["ingest_catalog"].catalog, told["ingest_catalog"].mode) == ("/changes", "changes")
    assert (told["fetch_images"].per_host_at_once, told["embed_images"].model) == (8, "m")
    assert {context.interval.key for _, context, _ in jobs.ran} == {HOUR}


def test_a_job_that_fails_ends_the_hour_with_its_code_and_leaves_the_receipts_before_it(
    jobs: Jobs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.failing = "publish_deltas"
    assert run(tmp_path) == EXIT_TRY_AGAIN
    assert "apply_changes: CURRENT names base b" in capsys.readouterr().err
    assert receipt(tmp_path, "evaluate_delta") is not None
    assert receipt(tmp_path, "publish_deltas") is None
    assert receipt(tmp_path, "apply_changes") is None
    assert FolderStore(tmp_path / "store").get(failure_key("catalog_hourly", HOUR, "apply_changes")) is not None


@pytest.mark.parametrize("handed_on", ["fetch_images", "publish=--new-lake"])
def test_what_is_handed_to_no_job_ends_the_hour_before_it_begins(
    jobs: Jobs, tmp_path: Path, capsys: pytest.CaptureFixture[str], handed_on: str
) -> None:
    assert run(tmp_path, "--with", handed_on) == EXIT_MISCONFIGURED
    assert f"--with {handed_on}: write JOB=ARGUMENT" in capsys.readouterr().err
    assert jobs.ran == []


def test_a_rebuild_is_not_wanted_while_none_could_go_live(jobs: Jobs, tmp_path: Path) -> None:
    jobs.facts = {"build_delta": {"wants_rebuild": True}, "publish_deltas": {"moved": False, "held": "looks wrong"}}
    assert run(tmp_path) == 0
    whole = receipt(tmp_path, "apply_changes")
    assert whole is not None
    assert whole.facts == {"moved": False, "held": "looks wrong", "wants_rebuild": False}


class Embedder:
    """A stand-in for embed_images: which models it was asked for, and those whose bundle is damaged."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.damaged: set[str] = set()

    def embed(self, context: JobContext, arguments: argparse.Namespace) -> Receipt:
        self.asked.append(arguments.model)
        if arguments.model in self.damaged:
            raise ModelUnavailable(f"{arguments.model} cannot be loaded")
        return context.receipt(
            counts={"embedded": 1}, facts={"model_id": arguments.model},
            table_versions={f"embeddings/{arguments.model}": 4},
        )  # fmt: skip


@pytest.fixture
def embedder(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Embedder:
    """The hour's real step over it. The Variable names model m; CURRENT's bases are of `now`, and before that `old`."""
    made = Embedder()
    parser = apply_changes.STEPS["embed_images"][0]
    monkeypatch.setitem(apply_changes.STEPS, "embed_images", (parser, apply_changes.embed_photos))  # type: ignore[arg-type]
    monkeypatch.setattr(embed_images, "embed_images", made.embed)
    monkeypatch.setattr(embed_images, "find_model", lambda _, model: SimpleNamespace(model_id=model))
    monkeypatch.setattr(apply_changes, "has_vectors", lambda *_: False)
    pointer = Pointer(1, HOUR, {}, Served("b", "now"), previous=Served("a", "old"))
    FolderStore(tmp_path / "store").put(POINTER_KEY, pointer.to_json())
    return made


def test_photos_are_embedded_for_the_bases_that_get_deltas_and_not_yet_for_a_model_that_no_night_has_begun(
    embedder: Embedder, tmp_path: Path
) -> None:
    assert run(tmp_path) == 0
    assert embedder.asked == ["now", "old"]
    left = receipt(tmp_path, "embed_images")
    assert left is not None
    assert (left.facts["model_id"], left.counts) == ("now", {"embedded": 2})
    assert left.table_versions == {"embeddings/now": 4, "embeddings/old": 4}


def test_from_the_night_on_that_began_with_a_new_model_the_hours_add_to_it(
    embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_changes, "has_vectors", lambda _, model_id: model_id == "m")
    assert run(tmp_path) == 0
    assert embedder.asked == ["now", "old", "m"]


def test_before_the_first_publish_photos_are_embedded_with_the_model_that_is_named(
    embedder: Embedder, tmp_path: Path
) -> None:
    FolderStore(tmp_path / "store").delete(POINTER_KEY)
    assert run(tmp_path) == 0
    assert embedder.asked == ["m"]


def test_a_damaged_model_of_the_way_back_does_not_keep_the_live_base_from_its_delta(
    embedder: Embedder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedder.damaged = {"old"}
    assert run(tmp_path) == 0
    embedder.damaged = {"now"}
    assert run(tmp_path) == EXIT_MISCONFIGURED
    assert "apply_changes: now cannot be loaded" in capsys.readouterr().err
