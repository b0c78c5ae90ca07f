"""A base is published with a delta that covers what CURRENT covers; the deltas themselves are stand-ins here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from retrieval.folders.evaluations import write_evaluation
from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.publish import publish, publish_deltas
from retrieval.publishing.rollback import rollback
from retrieval.store.objects import FolderStore, ObjectStore
from schemas.delta import DeltaEvaluation, DeltaManifest, delta_key
from schemas.errors import BadData, GateFailed, Misconfigured, PointerMoved
from schemas.intervals import DataInterval, parse_time
from schemas.manifest import Manifest, SearchParameters, build_key
from schemas.pointer import Pointer, Served
from spark_jobs.index_delta import catch_up
from spark_jobs.index_delta.catch_up import CATCH_UPS, BuiltBase, publish_caught_up
from spark_jobs.index_delta.make import DeltaMaker
from spark_jobs.running.job import JobContext

NIGHTS = ("20260130T020000Z", "20260131T020000Z")
HOUR = "20260131T030000Z"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """The first night's base is live at version 1."""
    made = FolderStore(tmp_path / "store")
    put_build(made, "first", NIGHTS[0])
    publish(made, Served("first", "m"), NIGHTS[0], {"products": 1}, "first night")
    return made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every delta that was made: of which base, at which version of products."""
    deltas: list[tuple[str, int]] = []

    def compare(maker: DeltaMaker, served: Served, pointer: Pointer, shown_at: Mapping[str, int] | None = None) -> str:
        version = maker.deltas.versions["products"]
        deltas.append((served.build_id, version))
        delta_id = put_delta(maker.context.store, served.build_id, version)
        maker.deltas.made[served.build_id] = None  # type: ignore[assignment]
        return delta_id

    monkeypatch.setattr(catch_up, "evaluate_delta", passes)
    lake_at(monkeypatch, 9)
    real = DeltaMaker.make

    def make(maker: DeltaMaker, served: Served, pointer: Pointer, shown_at: Mapping[str, int] | None = None) -> object:
        monkeypatch.setattr(DeltaMaker, "_compare", lambda *_: pytest.fail("compared"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("spark_jobs.index_delta.make.open_base", lambda *_: (_ for _ in ()).throw(_Needed))
            try:
                return real(maker, served, pointer, shown_at)
            except _Needed:
                return compare(maker, served, pointer, shown_at)

    monkeypatch.setattr(DeltaMaker, "make", make)
    return deltas


def lake_at(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """A lake of which only the newest versions are asked."""
    monkeypatch.setattr(DeltaMaker, "lake", SimpleNamespace(root="/no/lake", version=lambda _: version))


class _Needed(Exception):
    """A delta has to be made: a table is newer than what the base shows."""


def put_build(
    store: FolderStore, build_id: str, interval_end: str, source_versions: dict[str, int] | None = None
) -> None:
    manifest = Manifest(
        build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, rows=0, products=0, index_kind="exact",
        factory="SQfp16", photo_search=SearchParameters(), text_search=SearchParameters(),
        source_versions=source_versions or {}, interval_end=interval_end, files={},
    )  # fmt: skip
    store.put(build_key(build_id), manifest.to_json())


def put_delta(store: ObjectStore, build_id: str, version: int) -> str:
    delta_id = f"{build_id}-{version}"
    manifest = DeltaManifest(
        delta_id=delta_id, base_build_id=build_id, model_id="m", model_fingerprint="f", dimension=2, base_rows=0,
        rows=0, tombstones=0, changed=0, index_kind="exact", source_versions={"products": version},
        interval_end=HOUR, files={},
    )  # fmt: skip
    store.put(delta_key(delta_id), manifest.to_json())
    return delta_id


def passes(maker: DeltaMaker, build_id: str, delta_id: str, **_: object) -> None:
    """The gate, of which nothing is asked here."""
    note_passed(maker.context.store, build_id, delta_id, maker.deltas.versions)


def note_passed(store: ObjectStore, build_id: str, delta_id: str, versions: dict[str, int]) -> None:
    write_evaluation(store, DeltaEvaluation(delta_id, build_id, True, versions, HOUR))


def hour_passes(store: FolderStore, version: int) -> None:
    """An hourly run moves CURRENT to a newer version."""
    pointer = current(store)
    named = [served.build_id for served in (pointer.live, pointer.previous) if served]
    deltas = {build_id: put_delta(store, build_id, version) for build_id in named}
    for build_id, delta_id in deltas.items():
        note_passed(store, build_id, delta_id, {"products": version})
    assert publish_deltas(store, deltas, HOUR, {"products": version}, f"hour {version}").moved


def night(store: FolderStore, key: str = NIGHTS[1]) -> JobContext:
    end = parse_time(key)
    return JobContext("publish", "catalog_nightly", "/no/lake", store, DataInterval(end, end), key)


def current(store: FolderStore) -> Pointer:
    found = read_pointer(store)
    assert found is not None
    return found[0]


def build_of_second_night(store: FolderStore, version: int) -> BuiltBase:
    put_build(store, "second", NIGHTS[1])
    return BuiltBase("second", "m", {"products": version})


def test_a_night_that_nothing_overtook_brings_a_delta_for_the_base_it_replaces(
    store: FolderStore, made: list[tuple[str, int]]
) -> None:
    outcome = publish_caught_up(night(store), build_of_second_night(store, 2), "night 2")
    assert outcome.pointer.live == Served("second", "m")
    assert outcome.pointer.previous == Served("first", "m", "first-2")
    assert made == [("first", 2)]
    assert rollback(store, by="ann").live == Served("first", "m", "first-2")


def test_a_base_built_from_old_versions_is_published_caught_up(store: FolderStore, made: list[tuple[str, int]]) -> None:
    built = build_of_second_night(store, 2)
    hour_passes(store, 3)
    pointer = publish_caught_up(night(store), built, "night 2").pointer
    assert (pointer.live, pointer.previous) == (Served("second", "m", "second-3"), Served("first", "m", "first-3"))
    assert (pointer.source_versions, pointer.interval_end) == ({"products": 3}, HOUR)
    assert made == [("second", 3)]  # the first base had the hour's


def test_where_only_the_interval_moved_on_the_night_goes_live_without_a_delta(
    store: FolderStore, made: list[tuple[str, int]]
) -> None:
    assert publish_deltas(store, {"first": None}, HOUR, {"products": 1}, "a quiet hour").moved
    pointer = publish_caught_up(night(store), build_of_second_night(store, 1), "night 2").pointer
    assert (pointer.live, pointer.interval_end, made) == (Served("second", "m"), HOUR, [])


def test_a_night_before_the_one_that_made_the_live_base_is_not_published(
    store: FolderStore, made: list[tuple[str, int]]
) -> None:
    publish_caught_up(night(store), build_of_second_night(store, 2), "night 2")
    standing = current(store)
    put_build(store, "late", NIGHTS[0])
    outcome = publish_caught_up(night(store, NIGHTS[0]), BuiltBase("late", "m", {"products": 9}), "night 1, late")
    assert (outcome.moved, current(store)) == (False, standing)
    assert f"interval {NIGHTS[0]} is older than {NIGHTS[1]}" in str(outcome.reason)


def moves_on(monkeypatch: pytest.MonkeyPatch, move: Callable[[], None], times: int) -> None:
    """CURRENT moves between the making of a delta and the swap, that many times."""
    left = [times]

    def publish_late(*arguments, **named):  # type: ignore[no-untyped-def]
        if left[0]:
            left[0] -= 1
            move()
        return publish(*arguments, **named)

    monkeypatch.setattr(catch_up, "publish", publish_late)


def test_where_an_hour_passes_while_the_delta_is_made_the_night_catches_up_again(
    store: FolderStore, made: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_of_second_night(store, 2)
    versions = iter(range(3, 9))
    moves_on(monkeypatch, lambda: hour_passes(store, next(versions)), 2)
    pointer = publish_caught_up(night(store), built, "night 2").pointer
    assert (pointer.live.delta_id, pointer.source_versions) == ("second-4", {"products": 4})


def test_where_hours_never_stop_passing_the_night_tries_again_later(
    store: FolderStore, made: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_of_second_night(store, 2)
    versions = iter(range(3, 99))
    moves_on(monkeypatch, lambda: hour_passes(store, next(versions)), CATCH_UPS)
    with pytest.raises(PointerMoved, match="run publish again"):
        publish_caught_up(night(store), built, "night 2")
    assert current(store).live.build_id == "first"


def test_a_delta_that_fails_the_gate_keeps_the_base_from_going_live_but_not_that_of_the_base_before(
    store: FolderStore, made: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(maker: DeltaMaker, build_id: str, delta_id: str, **_: object) -> None:
        if build_id in failing:
            raise GateFailed(build_id, ["rows are missing"])
        passes(maker, build_id, delta_id)

    monkeypatch.setattr(catch_up, "evaluate_delta", fails)
    failing = {"second"}
    hour_passes(store, 3)
    built = build_of_second_night(store, 2)
    with pytest.raises(GateFailed):
        publish_caught_up(night(store), built, "night 2")
    failing = {"first"}
    pointer = publish_caught_up(night(store), BuiltBase("second", "m", {"products": 4}), "night 2").pointer
    assert (pointer.live.build_id, pointer.previous) == ("second", Served("first", "m", "first-3"))
    with pytest.raises(BadData, match="build_delta"):
        rollback(store, by="ann")


def test_a_night_of_a_lake_that_was_made_anew_says_so_and_is_published_on_demand(
    store: FolderStore, made: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_passes(store, 3)
    standing, built = current(store), build_of_second_night(store, 2)
    lake_at(monkeypatch, 2)
    with pytest.raises(
        Misconfigured, match=r"products in /no/lake is at version 2, but CURRENT covers 3: .* --new-lake"
    ):
        publish_caught_up(night(store), built, "night 2")
    assert (current(store), made) == (standing, [])
    with pytest.raises(Misconfigured, match="another lake"):
        DeltaMaker(night(store), {"products": 2}, HOUR).refuse_another_lake({"products": 2}, standing)
    third = "20260201T020000Z"
    put_build(store, "third", third)
    anew = BuiltBase("third", "m", {"products": 2})
    assert publish_caught_up(night(store, third), anew, "night 3", new_lake=True).pointer.live.build_id == "third"


def test_another_lake_is_known_by_its_id_where_its_versions_are_not_older(
    store: FolderStore, made: list[tuple[str, int]]
) -> None:
    second = replace(build_of_second_night(store, 2), lake_id="lake")
    assert publish_caught_up(night(store), second, "night 2", new_lake=True).pointer.previous is None
    third = "20260201T020000Z"
    put_build(store, "third", third)
    anew = BuiltBase("third", "m", {"products": 7}, "another")
    with pytest.raises(
        Misconfigured, match=r"/no/lake is not the lake that CURRENT covers, .* publish with --new-lake"
    ):
        publish_caught_up(night(store, third), anew, "night 3")
    same = publish_caught_up(night(store, third), replace(anew, lake_id="lake"), "night 3", new_lake=True).pointer
    assert same.previous == Served("second", "m", "second-7")  # --new-lake left in a deployment's settings does no harm


def test_a_build_that_stands_with_the_versions_of_the_lake_before_is_not_the_first_of_a_new_one(
    store: FolderStore, made: list[tuple[str, int]]
) -> None:
    put_build(store, "second", NIGHTS[1], {"products": 30})
    standing = current(store)
    with pytest.raises(Misconfigured, match="run build_index with another --seed"):
        publish_caught_up(night(store), BuiltBase("second", "m", {"products": 2}, "anew"), "night 2", new_lake=True)
    assert current(store) == standing
    later = BuiltBase("second", "m", {"products": 31}, "anew")
    assert publish_caught_up(night(store), later, "night 2", new_lake=True).moved


def test_a_delta_that_is_gone_from_the_store_is_made_again_though_no_table_is_newer(
    store: FolderStore, made: list[tuple[str, int]]
) -> None:
    hour_passes(store, 3)
    maker, standing = DeltaMaker(night(store), {"products": 3}, HOUR), current(store)
    assert (maker.make(standing.live, standing), made) == ("first-3", [])
    store.delete(delta_key("first-3"))
    assert (maker.make(standing.live, standing), made) == ("first-3", [("first", 3)])
