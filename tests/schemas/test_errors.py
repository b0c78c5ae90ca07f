from schemas.errors import TooManyBadRows


def test_too_many_bad_rows_names_the_three_commonest_reasons_and_counts_the_others() -> None:
    reasons = {"dns": 2, "http_404": 30, "blurred": 7, "empty": 1, "reset": 7}
    error = TooManyBadRows(44, 90, 0.2, "image_fetches", reasons)
    assert str(error) == (
        "44 of 90 rows are bad, more than 20% (30 http_404, 7 blurred, 7 reset, 3 for others): "
        "see their reasons in image_fetches"
    )


def test_too_many_bad_rows_without_reasons_says_where_they_are() -> None:
    error = TooManyBadRows(1, 2, 0.2, "image_fetches")
    assert str(error) == "1 of 2 rows are bad, more than 20%: see their reasons in image_fetches"
