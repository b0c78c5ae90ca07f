"""The safety check: what it says of photos, and that a broken one is found before the downloads or costs no photo."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from retrieval.encoders.bundles import read_bundle, upload_bundle
from retrieval.store.objects import FolderStore
from schemas.bundle import BUNDLE_FILE, TEXT_TOWER_FILE
from schemas.errors import ModelUnavailable
from schemas.reasons import PhotoReason
from spark_jobs import fetch_images
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.outcomes import ORDER_SCHEMA
from spark_jobs.fetch.partition import FetchPartition
from spark_jobs.fetch.photo_checks import PhotoRules
from spark_jobs.fetch.safety import SafetyCheck
from spark_jobs.fetch.settings import FetchSettings
from spark_jobs.lake.tables import Lake
from tests.packaged_model import packaged_bundle_folder
from tests.retrieval.encoders.tiny_model import tiny_bundle_folder
from tests.spark_jobs.fetch import plugged_checks
from tests.spark_jobs.fetch.fault_server import FaultServer
from tests.spark_jobs.fetch.photos import photo
from tests.spark_jobs.fetch.shop import FIRST_NIGHT, ONE_DAY, Shop

PLUGGED = plugged_checks.__name__
NARROW, WIDE = photo(1, width=200, height=300), photo(2, width=900, height=600)


def plugged(function: str) -> str:
    return f"{PLUGGED}:{function}"


def fetch_files(folder: Path, safety: SafetyCheck, **contents: bytes) -> dict[str, dict[str, Any]]:
    """Fetch files of these contents by one partition, without Spark; name → its outcome."""
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    urls = [f"file://{folder / name}" for name in contents]
    orders = [
        {"url": url, "place": url, "hops": 0, "requests": 0, "from_scratch": False, "partition": 0} for url in urls
    ]
    settings = FetchSettings(allowed_roots=(folder,))
    partition = FetchPartition(settings, PhotoRules(), Division(1, settings), FIRST_NIGHT, safety)
    batches = partition([pa.RecordBatch.from_pylist(orders, schema=ORDER_SCHEMA)])
    return {row["url"].rpartition("/")[2]: row for batch in batches for row in batch.to_pylist()}


def bundle_without_words(folder: Path) -> Path:
    """The tiny model as one that knows photos only."""
    shutil.copytree(tiny_bundle_folder(), folder)
    bundle = read_bundle(folder)
    files = {name: entry for name, entry in bundle.files.items() if name != TEXT_TOWER_FILE}
    (folder / BUNDLE_FILE).write_bytes(replace(bundle, text_input=None, files=files).to_json())
    return folder


def run_without_spark(tmp_path: Path, *more: str) -> int:
    """The job as its user starts it, where it must end before it opens a session."""
    code = fetch_images.main([
        "--lake", str(tmp_path / "lake"), "--store", str(tmp_path / "store"), "--interval-end", FIRST_NIGHT.isoformat(),
        "--interval-start", (FIRST_NIGHT - ONE_DAY).isoformat(), *more,
    ])  # fmt: skip
    assert not (tmp_path / "lake").exists()
    return code


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("nonsense", "No module named 'nonsense'"),
        ("no_such_module:score", "No module named 'no_such_module'"),
        (plugged("no_such_function"), "no_such_function"),
        (plugged(""), "has no attribute"),
        (plugged("not_a_function"), "is no function of photos"),
        (plugged("always_fails"), "cannot score plain photos (RuntimeError: no licence found)"),
        (plugged("one_score_for_all"), "1 scores for 2 photos"),
        (plugged("words"), "could not convert string to float"),
    ],
)
def test_a_check_that_cannot_work_is_one_line_and_exit_78_before_any_download(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], check: str, says: str
) -> None:
    assert run_without_spark(tmp_path, "--safety", check) == 78
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("fetch_images:")]
    assert f"--safety {check}" in line
    assert says in line


def test_a_module_that_fails_as_it_is_imported_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "unlicensed_check.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    assert run_without_spark(tmp_path, "--safety", "unlicensed_check:score") == 78
    assert "fetch_images: --safety unlicensed_check:score: RuntimeError: no licence" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ([], "needs a model: add --model"),
        (["--model", "no-such-model"], "has no model no-such-model: upload it with"),
        (["--model", "./no/such/folder"], "holds no bundle.json: make a model bundle"),
    ],
)
def test_a_missing_model_is_one_line_that_says_how_to_get_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], model: list[str], says: str
) -> None:
    assert run_without_spark(tmp_path, "--safety", "zero_shot", *model) == 78
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("fetch_images:")]
    assert says in line


def test_a_model_without_a_text_tower_is_refused_with_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = bundle_without_words(tmp_path / "model")
    with pytest.raises(ModelUnavailable, match="no text tower: choose another --safety, or a model with one"):
        SafetyCheck("zero_shot", str(folder), str(tmp_path)).open_scorer()
    assert run_without_spark(tmp_path, "--safety", "zero_shot", "--model", str(folder)) == 78
    assert "has no text tower" in capfd.readouterr().err


def test_a_damaged_model_is_refused_with_what_to_do(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_bundle_folder(), folder)
    (folder / TEXT_TOWER_FILE).write_bytes(b"")
    assert run_without_spark(tmp_path, "--safety", "zero_shot", "--model", str(folder)) == 78
    assert "text.onnx is damaged: expected" in capfd.readouterr().err


@pytest.mark.parametrize("score_max", ["-0.1", "1.5", "nan"])
def test_a_limit_that_is_no_score_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], score_max: str) -> None:
    assert run_without_spark(tmp_path, f"--max-safety-score={score_max}") == 78
    assert "write one from 0 to 1" in capfd.readouterr().err


def test_zero_shot_scores_are_shares_and_the_same_for_a_photo_alone_and_among_others(tmp_path: Path) -> None:
    scorer = SafetyCheck("zero_shot", str(tiny_bundle_folder()), str(tmp_path)).open_scorer()
    assert scorer is not None
    photos = [Image.new("RGB", (200, 100 + 9 * number), (250 - 20 * number, 20 * number, 90)) for number in range(9)]
    scores = list(scorer(photos))
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > 1
    assert scores == pytest.approx([scorer([each])[0] for each in photos], abs=1e-4)


def test_a_model_in_the_store_is_fetched_for_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    bundle = upload_bundle(FolderStore(tmp_path / "store"), tiny_bundle_folder())
    assert SafetyCheck("zero_shot", bundle.model_id, str(tmp_path / "store")).open_scorer() is not None
    assert (tmp_path / "scratch" / "shoplens-models" / bundle.model_id / TEXT_TOWER_FILE).exists()


def test_a_plugged_in_check_gets_photos_in_batches_and_its_scores_land_in_the_rows(tmp_path: Path) -> None:
    plugged_checks.batches.clear()
    found = fetch_files(tmp_path, SafetyCheck(plugged("by_width")), narrow=NARROW, wide=WIDE, broken=WIDE[:300])
    seen = [each for batch in plugged_checks.batches[1:] for each in batch]  # the first are plain photos of its trial
    assert sorted(each.size for each in seen) == [(200, 300), (900, 600)]
    assert all(isinstance(each, Image.Image) and each.mode == "RGB" for each in seen)
    assert {name: row["safety_score"] for name, row in found.items()} == {"narrow": 0.2, "wide": 0.9, "broken": None}


def test_a_photo_above_the_limit_is_rejected_and_keeps_no_bytes(tmp_path: Path) -> None:
    found = fetch_files(tmp_path, SafetyCheck(plugged("by_width"), score_max=0.8), narrow=NARROW, wide=WIDE)
    assert [found["wide"][name] for name in ("verdict", "photo_reason", "stored")] == ["rejected", "unsafe", None]
    assert found["narrow"]["verdict"] == "accepted"
    assert found["narrow"]["stored"] is not None


@pytest.mark.parametrize("check", ["fails_on_wide", "forgets_wide", "nan_of_wide", "beyond_one_for_wide"])
def test_a_photo_that_the_check_cannot_judge_is_kept_without_a_score_and_the_others_keep_theirs(
    tmp_path: Path, check: str
) -> None:
    found = fetch_files(tmp_path, SafetyCheck(plugged(check)), narrow=NARROW, wide=WIDE)
    assert {name: row["safety_score"] for name, row in found.items()} == {"narrow": 0.25, "wide": None}
    assert {row["verdict"] for row in found.values()} == {"accepted"}
    assert all(row["stored"] is not None for row in found.values())


@pytest.fixture(scope="module")
def packaged_model() -> Path:
    return packaged_bundle_folder()


@pytest.mark.full
def test_the_job_scores_with_the_packaged_models_words_and_rejects_above_the_limit(
    server: FaultServer, lake: Lake, tmp_path: Path, packaged_model: Path
) -> None:
    shop = Shop(lake, tmp_path)
    shop.stock({f"p{seed}": [server.on_photo(f"/{seed}.jpg", photo(seed))] for seed in range(4)})
    assert shop.fetch("--safety", "zero_shot", "--model", str(packaged_model), "--max-safety-score", "1") == 0
    first = shop.photos()
    assert {row["verdict"] for row in first.values()} == {"accepted"}
    assert all(0 <= row["safety_score"] <= 1 for row in first.values())

    shop.stock({f"q{seed}": [server.on_photo(f"/q{seed}.jpg", photo(10 + seed))] for seed in range(4)})
    assert shop.fetch("--safety", "zero_shot", "--model", str(packaged_model), "--max-safety-score", "0", night=1) == 0
    rejected = {key: row for key, row in shop.photos().items() if key not in first}
    assert len(rejected) == 4
    assert {row["reason"] for row in rejected.values()} == {PhotoReason.UNSAFE}
    stored = lake.spark.read.format("delta").load(f"{lake.root}/images").where("reason = 'unsafe'").select("stored")
    assert {row["stored"] for row in stored.collect()} == {None}


@pytest.mark.full
def test_the_jobs_workers_import_a_plugged_in_check_by_its_name(
    server: FaultServer, lake: Lake, tmp_path: Path
) -> None:
    shop = Shop(lake, tmp_path)
    narrow, wide = server.on_photo("/narrow.jpg", NARROW), server.on_photo("/wide.jpg", WIDE)
    shop.stock({"p1": [narrow], "p2": [wide]})
    assert shop.fetch("--safety", plugged("nan_of_wide")) == 0
    scores = {shop.ledger()[url]["content_sha256"]: score for url, score in ((narrow, 0.25), (wide, None))}
    assert {key: row["safety_score"] for key, row in shop.photos().items()} == scores
    assert set(shop.outcomes().values()) == {None}


@pytest.mark.full
def test_a_check_that_only_the_driver_can_import_is_one_line_and_78(
    server: FaultServer, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "driver_only.py").write_text("def score(photos): return [0.5 for _ in photos]")
    monkeypatch.syspath_prepend(tmp_path)
    shop = Shop(lake, tmp_path)
    shop.stock({"p1": [server.on_photo("/a.jpg", NARROW)]})
    assert shop.fetch("--safety", "driver_only:score") == 78
    assert "fetch_images: --safety driver_only:score: ModuleNotFoundError" in capfd.readouterr().err
    assert (shop.ledger(), shop.photos()) == ({}, {})
