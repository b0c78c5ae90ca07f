from pathlib import Path

import click
import pytest

from retrieval.cli import run_command
from schemas.errors import Misconfigured, ShopLensError, StoreUnavailable


def code_of(command: click.Command, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("sys.argv", ["shoplens"])
    with pytest.raises(SystemExit) as stopped:
        run_command(command)
    return stopped.value.code


@pytest.mark.parametrize("code", [75, 78])
def test_a_command_ends_with_the_code_that_it_names(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    @click.command()
    def named() -> None:
        raise click.exceptions.Exit(code)

    assert code_of(named, monkeypatch) == code


def test_a_command_that_is_done_goes_on_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["shoplens"])
    run_command(click.Command("done", callback=lambda: None))


@pytest.mark.parametrize(("error", "code"), [(StoreUnavailable("away"), 75), (Misconfigured("set it"), 78)])
def test_an_expected_error_is_one_line_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: ShopLensError, code: int
) -> None:
    @click.command("failing")
    def failing() -> None:
        raise error

    assert code_of(failing, monkeypatch) == code
    assert capsys.readouterr().err == f"failing: {error}\n"


def test_a_file_or_disk_that_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("drawing")
    def drawing() -> None:
        raise OSError(28, "No space left on device", "plot.png")

    assert code_of(drawing, monkeypatch) == 78
    assert capsys.readouterr().err == "drawing: [Errno 28] No space left on device: 'plot.png'\n"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_of_a_folder_is_told_so(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = tmp_path / "taken" / below
    (tmp_path / "taken").touch()

    @click.command("making")
    def making() -> None:
        wanted.mkdir(parents=True, exist_ok=True)

    assert code_of(making, monkeypatch) == 78
    said = f"making: a file is where {wanted} needs a folder: name another, or move the file away\n"
    assert capsys.readouterr().err == said


def test_a_wrong_option_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def strict() -> None:
        raise click.UsageError("no such thing")

    assert code_of(strict, monkeypatch) == 2
