import json
from dataclasses import replace

import pytest

from schemas.errors import Corrupt, SchemaTooNew
from schemas.pointer import HISTORY_LENGTH, POINTER_VERSION, Generation, Hold, Pointer, Served

LIVE = Served("build-a", "model-a")
LINE = Generation(1, "publish-1", LIVE, "20260101T020000Z", {"products": 3})
POINTER = Pointer(
    generation=1,
    interval_end="20260101T020000Z",
    source_versions={"products": 3},
    live=LIVE,
    previous=Served("build-0", "model-a", "delta-9"),
    hold=Hold("rolled back", "operator"),
    history=(LINE,),
)


def test_a_pointer_reads_back_as_it_was_written() -> None:
    assert Pointer.from_json(POINTER.to_json()) == POINTER


def test_history_keeps_the_newest_twenty_generations() -> None:
    pointer = POINTER
    for number in range(2, 30):
        pointer = pointer.with_history(Generation(number, f"publish-{number}", LIVE, "x", {}))
    assert len(pointer.history) == HISTORY_LENGTH
    assert [line.generation for line in pointer.history] == list(range(29, 9, -1))


def test_a_pointer_of_a_later_release_is_refused_by_name() -> None:
    newer = json.dumps(json.loads(POINTER.to_json()) | {"schema_version": POINTER_VERSION + 1}).encode()
    with pytest.raises(SchemaTooNew, match="upgrade"):
        Pointer.from_json(newer)


def test_a_pointer_that_names_no_lake_was_written_by_an_earlier_release_and_is_of_any() -> None:
    fields = json.loads(POINTER.to_json()) | {"schema_version": 1}
    del fields["lake_id"]
    read = Pointer.from_json(json.dumps(fields).encode())
    assert (read, read.is_of_another("lake")) == (POINTER, False)
    known = replace(read, lake_id="lake")
    assert [known.is_of_another(lake_id) for lake_id in ("lake", "", "anew")] == [False, False, True]
    assert [known.is_of(lake_id) for lake_id in ("lake", "", "anew")] == [True, False, False]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"schema_version": 1}', b'{"schema_version": "x"}',
                                  b'{"schema_version": 1e999}'])  # fmt: skip
def test_what_is_no_pointer_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        Pointer.from_json(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"generation": float("nan")}, {"generation": True}, {"generation": "2"}, {"interval_end": 5}, {"source_versions": [1]},
        {"source_versions": {"products": 1.5}}, {"lake_id": 5}, {"live": {"build_id": 7, "model_id": "m"}},
        {"hold": {"reason": 5, "by": None}}, {"history": [{**json.loads(POINTER.to_json())["history"][0], "publish_id": 5}]},
    ],
)  # fmt: skip
def test_a_field_of_another_type_makes_no_pointer(fields: dict[str, object]) -> None:
    with pytest.raises(Corrupt):
        Pointer.from_json(json.dumps({**json.loads(POINTER.to_json()), **fields}).encode())
