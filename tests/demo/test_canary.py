"""The canary: one sound product, changed as a shop would change it."""

import csv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from demo.canary import Canary, change_canary, is_shown, main, sound_rows
from demo.catalog import CatalogPlan, write_catalog
from demo.faults import read_faults


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_catalog(folder, CatalogPlan(products=30, lazy=True, bad_rows=True, fault_share=0.5))
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "catalog.csv").open(newline="", encoding="utf-8", errors="replace") as source:
        return list(csv.DictReader(source))


def test_the_changes_are_one_row_with_another_title_and_price(catalog: Path, tmp_path: Path) -> None:
    canary = change_canary(catalog, tmp_path / "changes", "Canary 1", 4001)
    (row,) = rows_of(tmp_path / "changes")
    before = next(row for row in rows_of(catalog) if row["sku"] == canary.product_id)
    assert row == before | {"name": "Canary 1", "price": "4001.00"}
    assert canary == Canary(before["sku"], "Canary 1", 4001)
    assert [path.name for path in (tmp_path / "changes").iterdir()] == ["catalog.csv"]


def test_the_canary_is_the_same_each_time_and_sound(catalog: Path, tmp_path: Path) -> None:
    again = [change_canary(catalog, tmp_path, f"Canary {number}", number + 1).product_id for number in range(2)]
    assert again[0] == again[1]
    faulty = read_faults(catalog)
    assert faulty
    for row in sound_rows(catalog):
        assert (row["in_stock"], row["removed"]) == ("true", "false")
        assert [row["image_1"], row["image_2"], row["image_3"]] != ["", "", ""]
        assert not faulty.keys() & {row["image_1"], row["image_2"], row["image_3"]}


class Searcher(BaseHTTPRequestHandler):
    reply = b'{"results": [{"product_id": "P1", "title": "Canary 1"}]}'

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.reply)

    def log_message(self, format: str, *args: object) -> None:
        return


def test_it_is_shown_only_under_its_new_title() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Searcher) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        base_url = f"http://127.0.0.1:{server.server_port}"
        assert is_shown(base_url, Canary("P1", "Canary 1", 4001))
        assert not is_shown(base_url, Canary("P1", "Canary 2", 4002))
        assert not is_shown(base_url, Canary("P2", "Canary 1", 4001))
        server.shutdown()


def test_the_command_says_what_to_look_for(catalog: Path, tmp_path: Path) -> None:
    arguments = ["--catalog", str(catalog), "--changes", str(tmp_path), "--title", "Canary 7", "--price", "77"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "is to be found as 'Canary 7' at 77.00" in done.output
