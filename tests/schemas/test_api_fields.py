"""What a question may say is what ingest keeps."""

from pydantic import TypeAdapter

from schemas.api.fields import ProductId, Word
from schemas.texts import OUTER_BLANKS
from spark_jobs.catalog import rows


def test_what_ingest_takes_off_a_text_is_taken_off_a_question() -> None:
    for blank in OUTER_BLANKS:
        assert TypeAdapter(Word).validate_python(f"{blank}a{blank}b{blank}") == f"a{blank}b"


def test_every_value_that_ingest_takes_can_be_asked_for() -> None:
    longest = "x" * rows.OTHER_MAX_CHARACTERS
    assert TypeAdapter(Word).validate_python(longest) == longest
    longest = "x" * rows.TEXT_MAX_CHARACTERS["product_id"]
    assert TypeAdapter(ProductId).validate_python(longest) == longest
