import os
import threading
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from retrieval.store.objects import FolderStore, ObjectStore, open_store
from retrieval.store.s3 import S3Store
from schemas.errors import Misconfigured, PreconditionFailed, StoreNotWritable, StoreUnavailable


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    bucket = request.getfixturevalue("s3_bucket")
    return S3Store(bucket, "prefix")


def test_what_is_put_is_what_is_got(store: ObjectStore) -> None:
    etag = store.put("a/b.json", b"one")
    found = store.get("a/b.json")
    assert found is not None
    assert (found.data, found.etag) == (b"one", etag)
    assert store.size("a/b.json") == 3


def test_what_is_not_there_is_none(store: ObjectStore, tmp_path: Path) -> None:
    assert store.get("nothing") is None
    assert store.size("nothing") is None
    assert store.download("nothing", tmp_path / "x") is False
    assert list(store.keys("nothing/")) == []
    store.delete("nothing")


def test_a_first_write_happens_once(store: ObjectStore) -> None:
    store.put("once", b"1", if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put("once", b"2", if_none_match=True)
    assert store.get("once").data == b"1"  # type: ignore[union-attr]


def test_a_conditional_write_needs_the_current_etag(store: ObjectStore) -> None:
    first = store.put("pointer", b"1")
    second = store.put("pointer", b"2", if_match=first)
    with pytest.raises(PreconditionFailed):
        store.put("pointer", b"3", if_match=first)
    with pytest.raises(PreconditionFailed):
        store.put("absent", b"1", if_match=second)
    assert store.get("pointer").data == b"2"  # type: ignore[union-attr]


def test_racing_writers_lose_no_increment(store: ObjectStore) -> None:
    store.put("count", b"0")

    def increment(times: int) -> None:
        for _ in range(times):
            while True:
                found = store.get("count")
                assert found is not None
                try:
                    store.put("count", str(int(found.data) + 1).encode(), if_match=found.etag)
                    break
                except PreconditionFailed:
                    continue

    threads = [threading.Thread(target=increment, args=(20,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("count").data == b"80"  # type: ignore[union-attr]


def test_files_go_up_and_come_down_and_are_listed_in_order(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x" * 100_000)
    store.upload(tmp_path / "up", "builds/b/index")
    store.put("builds/a", b"")
    assert list(store.keys("builds/")) == ["builds/a", "builds/b/index"]
    assert store.download("builds/b/index", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"x" * 100_000
    store.delete("builds/a")
    assert list(store.keys("builds/")) == ["builds/b/index"]


def test_a_prefix_need_not_end_at_a_slash(store: ObjectStore) -> None:
    for key in ("builds/a", "builds-old/a/b", "CURRENT"):
        store.put(key, b"1")
    assert list(store.keys("builds")) == ["builds-old/a/b", "builds/a"]
    assert list(store.keys("CURR")) == ["CURRENT"]
    assert list(store.keys("")) == ["CURRENT", "builds-old/a/b", "builds/a"]


def test_a_listing_knows_sizes_and_ages_by_the_store_s_clock(store: ObjectStore) -> None:
    before = store.clock()
    store.put("builds/a", b"123")
    (entry,) = store.entries("builds/")
    assert (entry.key, entry.bytes) == ("builds/a", 3)
    assert entry.modified_at.utcoffset() == timedelta(0)
    a_tick = timedelta(seconds=1)  # S3 dates its answers in whole seconds
    assert before - a_tick <= entry.modified_at <= store.clock() + a_tick


def test_many_objects_go_at_once_and_absent_ones_do_not_matter(store: ObjectStore) -> None:
    for number in range(5):
        store.put(f"images/{number}", b"x")
    store.delete_all(["images/0", "images/absent", "images/3"])
    assert list(store.keys("images/")) == ["images/1", "images/2", "images/4"]
    store.delete_all([])


def test_a_folder_store_forgets_folders_that_it_emptied(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put("deltas/d/manifest.json", b"1")
    store.put("deltas/e", b"1")
    store.delete_all(["deltas/d/manifest.json"])
    assert [path.name for path in (tmp_path / "store/deltas").iterdir()] == ["e"]


def test_what_a_dead_writer_left_in_a_folder_is_found_and_freed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put("builds/b/vectors.f16", b"whole")
    (tmp_path / "store/builds/b/.vectors.f16.123.partial").write_bytes(b"ha")
    (tmp_path / "store/builds/b/.manifest.json.ab12_xyz").write_bytes(b"{")
    left = list(store.unfinished("builds/"))
    assert sorted(upload.key for upload in left) == ["builds/b/manifest.json", "builds/b/vectors.f16"]
    for upload in left:
        store.discard(upload)
    assert [path.name for path in (tmp_path / "store/builds/b").iterdir()] == ["vectors.f16"]


@pytest.mark.full
def test_what_a_dead_writer_left_in_a_bucket_is_found_and_freed(s3_bucket: str) -> None:
    store = S3Store(s3_bucket, "shop")
    begun = boto3.client("s3").create_multipart_upload(Bucket=s3_bucket, Key="shop/builds/b/vectors.f16")
    (upload,) = store.unfinished("builds/")
    assert (upload.key, upload.handle) == ("builds/b/vectors.f16", begun["UploadId"])
    store.discard(upload)
    assert list(store.unfinished("builds/")) == []
    store.discard(upload)


def test_an_upload_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "absent", "builds/b/vectors.f16")
    assert list(store.unfinished("")) == []


def test_a_key_cannot_leave_the_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "secret").write_text("s")
    with pytest.raises(Misconfigured, match="leaves the store"):
        store.get("../secret")


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreNotWritable, match="fix its permissions"):
        FolderStore(tmp_path / "file" / "store").put("a", b"1")


def test_uris_choose_the_store(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path)), FolderStore)
    spaced = FolderStore(tmp_path / "a störe #1")
    spaced.put("key", b"1")
    assert open_store(spaced.uri).get("key") is not None
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    assert open_store("s3://bucket/a/b/").uri == "s3://bucket/a/b"


@pytest.mark.parametrize(
    "uri", ["", " ", "s3://", "s3://[bucket", "gs://bucket/prefix", "https://bucket.s3.amazonaws.com/"]
)
def test_what_is_no_store_is_refused_and_not_made_a_folder_of(uri: str) -> None:
    with pytest.raises(Misconfigured, match="is no object store"):
        open_store(uri)


def test_a_file_is_no_store_however_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").touch()
    for uri in (str(tmp_path / "catalog.csv"), (tmp_path / "catalog.csv").as_uri()):
        with pytest.raises(Misconfigured, match="is a file: name a folder"):
            open_store(uri).get("CURRENT")


@pytest.mark.parametrize("uri", ["s3://bucket/shops//one", "s3://bucket/../shop", "s3a://bucket/./shop/"])
def test_prefixes_that_some_servers_take_for_others_are_refused(uri: str) -> None:
    with pytest.raises(Misconfigured, match="between its slashes"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["s3://bucket/shop#1", "s3a://bucket/shop?1"])
def test_prefixes_that_would_be_cut_short_are_refused(uri: str) -> None:
    with pytest.raises(Misconfigured, match=r"holds \? or #"):
        open_store(uri)


@pytest.mark.full
def test_a_bucket_that_is_not_there_says_so(s3_bucket: str) -> None:
    with pytest.raises(StoreNotWritable, match="does not exist"):
        S3Store(f"{s3_bucket}-absent", "").put("a", b"1")


def test_a_store_that_does_not_answer_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreUnavailable):
        S3Store("bucket", "").get("a")


def test_a_store_without_credentials_wants_a_person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.Session().client("s3")  # the default session remembers what other tests set
    with pytest.raises(StoreNotWritable, match="no credentials for s3://bucket"):
        S3Store("bucket", "", client).get("a")


def test_a_bucket_whose_name_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(StoreNotWritable) as refused:
        open_store("s3://my bucket/prefix").get("a")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [("AWS_ENDPOINT_URL", "store:9000/x"), ("AWS_PROFILE", "nobody")])
def test_an_aws_environment_that_cannot_be_meant_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=f"the AWS environment does not do: .*{value}"):
        open_store("s3://shop")


def test_a_file_address_with_a_host_is_no_folder() -> None:
    assert open_store("file://localhost/shop").uri == open_store("file:///shop").uri
    with pytest.raises(Misconfigured, match="names a host, shop: a folder is written file:///folder"):
        open_store("file://shop/store")


def test_a_folder_that_may_not_be_read_is_for_a_person_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    store.put("builds/a", b"1")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    for name in ("read_bytes", "open", "iterdir", "stat"):
        monkeypatch.setattr(Path, name, refuse)
    looks = (
        lambda: store.get("builds/a"), lambda: store.size("builds/a"), lambda: list(store.keys("builds/")),
        lambda: store.download("builds/a", tmp_path / "b"),
    )  # fmt: skip
    for look in looks:
        with pytest.raises(StoreNotWritable, match=r"cannot read .*builds.*: Permission denied; fix its permissions"):
            look()
