"""The rules of clean-up, on listings that were never in a store."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from retrieval.publishing.cleanup import YOUNG, named_ids, plan_removals, removable_thumbnails, removable_uploads
from retrieval.store.objects import StoredEntry, UnfinishedUpload
from schemas.pointer import Generation, Pointer, Served

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIVE = Served("live-build", "live-model", "live-delta")


def pointer_of(live: Served = LIVE, **more: Served) -> Pointer:
    return Pointer(1, "20260228T020000Z", {}, live, **more)  # type: ignore[arg-type]


def entry(key: str, days: float = 30) -> StoredEntry:
    return StoredEntry(key, 10, NOW - timedelta(days=days))


def names(pointer: Pointer | None, *entries: StoredEntry, protected: tuple[str, ...] = ()) -> list[str]:
    return [f"{gone.kind} {gone.name}" for gone in plan_removals(pointer, entries, NOW, protected)]


def build(name: str, days: float = 30) -> list[StoredEntry]:
    return [entry(f"builds/{name}/manifest.json", days), entry(f"builds/{name}/index.faiss", days)]


def test_what_no_generation_names_goes_and_what_one_names_stays() -> None:
    line = Generation(1, "p", Served("history-build", "history-model", "history-delta"), "20260101T000000Z", {})
    pointer = pointer_of(
        previous=Served("previous-build", "live-model"), candidate=Served("candidate-build", "candidate-model")
    ).with_history(line)
    parts = ("live", "previous", "candidate", "history", "other")
    listed = [one for part in parts for one in build(f"{part}-build")]
    listed += [entry(f"deltas/{part}-delta/manifest.json") for part in parts]
    listed += [entry(f"models/{part}-model/bundle.json") for part in parts]
    # No generation names a delta of the previous build or of the candidate here.
    assert sorted(names(pointer, *listed)) == [
        "build other-build", "delta candidate-delta", "delta other-delta", "delta previous-delta",
        "model other-model", "model previous-model",
    ]  # fmt: skip


def test_one_young_file_keeps_its_whole_folder() -> None:
    old, young = build("b"), [entry("builds/b/manifest.json", 6.9), entry("builds/b/index.faiss")]
    assert names(pointer_of(), *old) == ["build b"]
    assert names(pointer_of(), *young) == []


def test_an_upload_that_never_ended_goes_after_seven_days() -> None:
    (gone,) = plan_removals(pointer_of(), [entry("builds/b/index.faiss", 7.1)], NOW)
    assert gone.reason == "its upload never ended"
    assert names(pointer_of(), entry("builds/b/index.faiss", 6.9)) == []


def test_a_manifest_goes_before_the_files_that_it_names() -> None:
    (gone,) = plan_removals(pointer_of(), build("b"), NOW)
    assert gone.keys == ("builds/b/manifest.json", "builds/b/index.faiss")
    assert gone.bytes == 20
    listed = [entry("models/m/bundle.json"), entry("models/m/a.onnx")]
    assert plan_removals(pointer_of(), listed, NOW)[0].keys == ("models/m/bundle.json", "models/m/a.onnx")


def test_receipts_go_after_ninety_days_whatever_is_published() -> None:
    listed = [entry("runs/nightly/20251101T020000Z/publish.json", 91), entry("runs/nightly/x/publish.json", 89)]
    assert names(None, *listed) == ["receipt nightly/20251101T020000Z/publish.json"]


def test_without_current_no_build_model_or_figure_goes() -> None:
    listed = [*build("b"), entry("models/m/bundle.json"), entry("evaluations/e.json"), entry("doctor/x/a")]
    assert names(None, *listed) == ["scratch x"]


def test_figures_go_with_their_build() -> None:
    listed = [*build("b"), *build("young", 1), entry("evaluations/b.json"), entry("evaluations/long-gone.json")]
    listed += [entry("evaluations/young.json"), entry("evaluations/live-build.json")]
    assert names(pointer_of(), *listed) == ["build b", "evaluation b", "evaluation long-gone"]


def test_what_a_young_receipt_names_stays() -> None:
    assert names(pointer_of(), *build("b"), protected=("b",)) == []


def test_keys_that_are_not_ours_are_never_looked_at() -> None:
    listed = [entry("events/2025/01/a.jsonl"), entry("builds/readme.txt"), entry("CURRENT"), entry("runs/.writable")]
    listed += [entry("notes/builds/b/manifest.json")]
    assert names(pointer_of(), *listed) == []
    assert removable_thumbnails([entry("images/readme.txt"), entry("photos/aa/aa.jpg")], NOW) == {}


def test_thumbnails_are_known_by_their_photo_and_young_ones_stay() -> None:
    listed = [entry("images/aa/aa11.jpg"), entry("images/bb/bb22.jpg", 6)]
    assert list(removable_thumbnails(listed, NOW)) == ["aa11"]


def test_unfinished_uploads_of_ours_go_after_seven_days() -> None:
    def upload(key: str, days: float) -> UnfinishedUpload:
        return UnfinishedUpload(key, f"handle of {key}", NOW - timedelta(days=days))

    uploads = [upload("builds/b/index.faiss", 8), upload("builds/c/index.faiss", 6), upload("events/a", 8)]
    assert [gone.key for gone in removable_uploads([*uploads, upload("CURRENT", 8)], NOW)] == [
        "builds/b/index.faiss", "CURRENT",
    ]  # fmt: skip


IDS = st.sampled_from("abcdefgh")
SERVED = st.builds(Served, IDS, IDS, st.none() | IDS)
LINES = st.builds(Generation, st.integers(1, 99), st.just("p"), SERVED, st.just("20260101T000000Z"), st.just({}))
POINTERS = st.builds(
    Pointer, st.just(1), st.just("20260101T000000Z"), st.just({}), SERVED, st.none() | SERVED, st.none() | SERVED,
    history=st.lists(LINES, max_size=20).map(tuple),
)  # fmt: skip
FILES = st.sampled_from(["manifest.json", "bundle.json", "index.faiss", "items.arrow", "sub/part"])
KEYS = st.builds(
    lambda prefix, name, file: f"{prefix}/{name}/{file}",
    st.sampled_from(["builds", "deltas", "models", "staging", "doctor", "runs/nightly", "images", "events"]), IDS, FILES,
)  # fmt: skip
AGES = st.floats(-3, 200, allow_nan=False)
LISTINGS = st.dictionaries(KEYS, AGES, max_size=40).map(lambda found: [entry(key, days) for key, days in found.items()])


@given(st.none() | POINTERS, LISTINGS, st.frozensets(IDS))
def test_nothing_named_protected_or_young_ever_goes(
    pointer: Pointer | None, listed: list[StoredEntry], protected: frozenset[str]
) -> None:
    ages = {one.key: one.modified_at for one in listed}
    for gone in plan_removals(pointer, listed, NOW, protected):
        assert all(ages[key] < NOW - YOUNG for key in gone.keys)
        if gone.kind in ("build", "delta", "model"):
            assert pointer is not None
            assert gone.name not in named_ids(pointer) | protected
            neighbours = {key for key in ages if key.startswith(gone.keys[0].rsplit("/", 1)[0] + "/")}
            assert neighbours <= set(gone.keys)


@given(POINTERS, LISTINGS, st.data())
def test_a_second_clean_up_finds_nothing_more(pointer: Pointer, listed: list[StoredEntry], data: st.DataObject) -> None:
    gone = {key for removal in plan_removals(pointer, listed, NOW) for key in removal.keys}
    left = [one for one in listed if one.key not in gone]
    assert plan_removals(pointer, left, NOW) == []
    # One that died half-way is ended by the next.
    done = set(data.draw(st.permutations(sorted(gone)))[: len(gone) // 2])
    rest = {
        key for removal in plan_removals(pointer, [o for o in listed if o.key not in done], NOW) for key in removal.keys
    }
    assert rest == gone - done
