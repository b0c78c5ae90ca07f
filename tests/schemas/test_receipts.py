import json

import pytest

from schemas.errors import BadData, Corrupt, SchemaTooNew
from schemas.receipts import Receipt

RECEIPT = Receipt("nightly", "build_index", "20260130T020000Z", "20260131T020000Z", facts={"build_id": "b"})


def edited(**fields: object) -> bytes:
    return json.dumps({**json.loads(RECEIPT.to_json()), **fields}).encode()


def test_a_receipt_comes_back_as_it_was() -> None:
    assert Receipt.from_json(RECEIPT.to_json()) == RECEIPT


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b'{"dag": "nightly"}', edited(surprise=1), edited(facts=None), edited(counts=[]), edited(table_versions={"products": "3"}),
     edited(schema_version="one"), edited(schema_version=1e999)],
)  # fmt: skip
def test_what_is_no_receipt_is_damage_and_named(data: bytes) -> None:
    with pytest.raises(Corrupt, match="runs/x is damaged: expected a receipt"):
        Receipt.from_json(data, "runs/x")


def test_a_receipt_of_a_later_release_is_refused_before_its_fields_are_read() -> None:
    with pytest.raises(SchemaTooNew, match="upgrade ShopLens"):
        Receipt.from_json(edited(schema_version=2, surprise=1))


def test_a_fact_that_a_receipt_does_not_name_says_which_job_to_run() -> None:
    assert RECEIPT.fact("build_id") == "b"
    with pytest.raises(
        BadData, match="the receipt of build_index for 20260131T020000Z names no deltas: run build_index"
    ):
        RECEIPT.fact("deltas")
