import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from retrieval.commands import doctor as doctor_command
from retrieval.commands.doctor import doctor
from retrieval.diagnosis.findings import State, ok
from retrieval.encoders.bundles import default_cache_folder
from retrieval.store.objects import FolderStore
from schemas.manifest import build_key
from tests.retrieval.diagnosis.shops import publish_whole


class NoCheckHere:
    """An entry point whose library is not installed."""

    def load(self) -> object:
        raise ModuleNotFoundError("No module named 'pyspark'", name="pyspark")


class LakeCheck:
    def load(self) -> object:
        return lambda lake, store: iter([ok("lake: products", f"in {lake}")])


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "store")
    publish_whole(made)
    return made


def run(uri: str, tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(doctor, ["--store", uri, "--cache", str(tmp_path / "cache"), *arguments])


def test_a_sound_deployment_is_a_line_a_check_and_ends_with_0(store: FolderStore, tmp_path: Path) -> None:
    done = run(str(store.root), tmp_path)
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()] == ["ok"] * 11
    assert list(store.keys("doctor/")) == []


def test_something_wrong_ends_with_78_and_says_what_to_do(store: FolderStore, tmp_path: Path) -> None:
    store.delete(build_key("live"))
    done = run(str(store.root), tmp_path)
    assert done.exit_code == 78
    (line,) = (line for line in done.output.splitlines() if line.startswith("wrong"))
    assert "live build" in line
    assert "roll back with `shoplens index rollback`" in line


def test_a_store_that_does_not_answer_is_one_line_and_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "test-access", "AWS_MAX_ATTEMPTS": "1",
        "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    done = run("s3://bucket/shop", tmp_path)
    assert done.exit_code == 75
    assert len(done.output.splitlines()) == 1
    assert "did not answer" in done.output


def test_a_misspelt_folder_is_one_line_and_is_not_made(tmp_path: Path) -> None:
    done = run(str(tmp_path / "stroe"), tmp_path)
    assert done.exit_code == 78
    (line,) = done.output.splitlines()
    assert f"there is no folder {tmp_path / 'stroe'}: mend --store" in line
    assert not (tmp_path / "stroe").exists()


def test_json_holds_every_finding(store: FolderStore, tmp_path: Path) -> None:
    findings = json.loads(run(str(store.root), tmp_path, "--json").output)
    assert len(findings) == 11
    assert findings[0] | {"says": ""} == {"check": "clock", "state": "ok", "says": "", "remedy": "", "exit_code": 78}


@pytest.mark.parametrize(("point", "state"), [(LakeCheck(), State.OK), (NoCheckHere(), State.NOT_CHECKED)])
def test_the_lake_is_checked_where_spark_is(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: object, state: State
) -> None:
    monkeypatch.setattr(doctor_command, "entry_points", lambda group: [point])
    done = run(str(store.root), tmp_path, "--lake", "/lake")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1].startswith(state.value)


@pytest.mark.parametrize("environment", [{}, {"SHOPLENS_CACHE": ""}, {"SHOPLENS_CACHE": "", "XDG_CACHE_HOME": ""}])
def test_a_blank_setting_of_the_cache_is_none(environment: dict[str, str]) -> None:
    assert default_cache_folder(environment) == Path.home() / ".cache" / "shoplens" / "models"
