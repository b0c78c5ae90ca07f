import json

import pytest

from schemas.errors import Corrupt, SchemaTooNew
from schemas.manifest import FileEntry, Manifest, SearchParameters, build_key, thumbnail_key

MANIFEST = Manifest(
    build_id="b",
    model_id="m",
    model_fingerprint="f",
    dimension=4,
    rows=2,
    products=1,
    index_kind="exact",
    factory="Flat",
    photo_search=SearchParameters(),
    text_search=SearchParameters(nprobe=8, rerank=500),
    source_versions={"products": 1},
    interval_end="20260101T020000Z",
    files={"index.faiss": FileEntry(10, "aa")},
    recall={"photo": 1.0},
    runtimes=("onnxruntime",),
)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_equal_manifests_are_equal_bytes() -> None:
    assert MANIFEST.to_json() == Manifest.from_json(MANIFEST.to_json()).to_json()


def test_a_manifest_of_a_later_release_is_refused_by_name() -> None:
    newer = json.dumps(json.loads(MANIFEST.to_json()) | {"schema_version": 99}).encode()
    with pytest.raises(SchemaTooNew, match="99"):
        Manifest.from_json(newer)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"{}", b'{"schema_version": 1, "files": 3}', b'{"schema_version": 1e999}']
)
def test_what_is_no_manifest_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        Manifest.from_json(data)


def test_a_manifest_with_another_number_in_it_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="checksum"):
        Manifest.from_json(MANIFEST.to_json().replace(b'"nprobe": 8', b'"nprobe": 9'))


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [('"checksum"', '"checksul"'), ('"schema_version": 2', '"schema_version": 1'), ('"rows"', '"rowr"')],
)
def test_a_manifest_does_not_lose_its_checksum_unnoticed(whole: str, damaged: str) -> None:
    with pytest.raises(Corrupt):
        Manifest.from_json(MANIFEST.to_json().replace(whole.encode(), damaged.encode()))


def test_a_manifest_from_before_there_were_checksums_is_read() -> None:
    fields = json.loads(MANIFEST.to_json())
    del fields["checksum"]
    fields["schema_version"] = 1
    assert Manifest.from_json(json.dumps(fields).encode()) == MANIFEST


def test_keys_stand_where_the_design_says() -> None:
    assert build_key("b1") == "builds/b1/manifest.json"
    assert thumbnail_key("abcd") == "images/ab/abcd.jpg"
