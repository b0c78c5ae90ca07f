import json

import pytest

from bench.report import Figure, compare, print_figures


def test_json_prints_one_line_a_figure_with_its_six_fields(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([compare("download", "images", 30.0, "images/s", "img2dataset", 20.0)], as_json=True)
    line = json.loads(capsys.readouterr().out)
    assert line == {
        "bench": "download", "figure": "images", "value": 30.0, "unit": "images/s", "against": "img2dataset", "ratio": 1.5,
    }  # fmt: skip


def test_the_table_shows_values_units_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([Figure("index", "size", 123456.0, "MB"), Figure("index", "p50", 0.5, "ms", "autofaiss", 0.75)])
    shown = capsys.readouterr().out
    assert "123,456" in shown
    assert "autofaiss" in shown
    assert "0.75" in shown


def test_a_comparison_with_nothing_has_no_ratio() -> None:
    assert compare("index", "size", 1.0, "MB", "nobody", 0.0).ratio is None
