"""Links to files: only under an allowed root, and read again only when they changed."""

from pathlib import Path

import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Known
from spark_jobs.fetch.settings import FetchSettings
from tests.spark_jobs.fetch.visits import PHOTO, visit, visit_all

pytestmark = pytest.mark.full


def test_files_are_read_only_under_an_allowed_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "a b.jpg").write_bytes(PHOTO)
    (root / "empty.jpg").touch()
    (root / "large.jpg").write_bytes(b"x" * 100_001)
    (outside / "secret.jpg").write_bytes(PHOTO)
    (root / "way out.jpg").symlink_to(outside / "secret.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    settings = FetchSettings(allowed_roots=(root,), image_max_bytes=100_000)
    expected = {
        f"file://{root}/a%20b.jpg": None,
        f"{root}/a b.jpg": None,
        f"file://{root}/missing.jpg": FetchReason.NOT_FOUND,
        f"file://{root}/empty.jpg": FetchReason.EMPTY,
        f"file://{root}/large.jpg": FetchReason.TOO_LARGE,
        f"file://{root}": FetchReason.PATH_REFUSED,
        f"file://{root}/way out.jpg": FetchReason.PATH_REFUSED,
        f"file://{root}/loop.jpg": FetchReason.PATH_REFUSED,
        f"file://{root}/../outside/secret.jpg": FetchReason.PATH_REFUSED,
        f"file://{root}/%2e%2e/outside/secret.jpg": FetchReason.PATH_REFUSED,
        f"file://{outside}/secret.jpg": FetchReason.PATH_REFUSED,
        "/dev/zero": FetchReason.PATH_REFUSED,
        f"file://{root}/{'n' * 300}.jpg": FetchReason.PATH_REFUSED,
    }
    found = visit_all(list(expected), settings)
    assert {url: each.answer.reason for url, each in found.items()} == expected


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PHOTO)
    settings = FetchSettings(allowed_roots=(tmp_path,))
    first = visit(f"file://{path}", settings).answer
    known = Known(first.etag, None, "c1")
    assert visit(f"file://{path}", settings, known).answer.unchanged
    path.write_bytes(PHOTO + b"x")
    assert visit(f"file://{path}", settings, known).answer.data == PHOTO + b"x"
