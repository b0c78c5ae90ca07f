import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.spark_job import SparkJobOperator, argument_list, catalog_of, interval_of, read_deployment

ROOT = Path(__file__).resolve().parents[2]
TRIGGERED = datetime(2026, 1, 31, 9, 30, 15, 250_000, tzinfo=UTC)


def deploy(monkeypatch: pytest.MonkeyPatch, python: Path, **more: Any) -> None:
    settings = {"lake": "/lake", "store": "/store", "catalog": "/exports", "mapping": "shop.toml", "model": "m"}
    monkeypatch.setenv("AIRFLOW_VAR_SHOPLENS", json.dumps({**settings, "python": str(python), **more}))


def interpreter(tmp_path: Path, script: str) -> Path:
    """A program in the place of the pipeline environment's Python."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return path


def embed() -> SparkJobOperator:
    return SparkJobOperator(task_id="embed", job="embed_images", options={"--model": "m"})


def a_run(**fields: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"data_interval_start": None, "data_interval_end": None, "run_after": TRIGGERED} | fields)


def test_options_become_a_command_line() -> None:
    options = {"--mode": "snapshot", "--share": 0.2, "--old": True, "--new": False, "--none": None, "--why": ["a", "b"]}
    assert argument_list(options) == ["--mode", "snapshot", "--share", "0.2", "--old", "--why", "a", "--why", "b"]


def test_a_job_gets_its_options_and_then_those_of_the_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = interpreter(tmp_path, f'echo "$PWD" "$@" > {tmp_path}/said; env > {tmp_path}/env')
    deploy(
        monkeypatch, python, project=str(tmp_path),
        arguments={"embed_images": ["--runtime", "onnx"]}, environment={"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "not for jobs")
    task = embed()
    task.options = {"--lake": "/lake", "--model": "m"}
    task.execute({})  # type: ignore[typeddict-item]
    assert (tmp_path / "said").read_text().split() == [
        str(tmp_path), "-m", "spark_jobs.embed_images", "--lake", "/lake", "--model", "m", "--runtime", "onnx",
    ]  # fmt: skip
    environment = (tmp_path / "env").read_text()
    assert "OMP_NUM_THREADS=2" in environment
    assert "JWT_SECRET" not in environment


def test_a_run_with_what_is_no_parameter_of_its_dag_fails_before_its_job_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(monkeypatch, interpreter(tmp_path, f"touch {tmp_path}/ran"))
    dag = SimpleNamespace(params={"mode": "snapshot", "catalog": None})
    context: Any = {"dag": dag, "dag_run": a_run(conf={"mode": "nothing", "catalogue": "/exports"})}
    with pytest.raises(
        AirflowFailException, match=r"^catalogue is no parameter of this DAG: .* some of catalog, mode$"
    ):
        embed().execute(context)
    assert not (tmp_path / "ran").exists()
    for conf in (None, {}, {"mode": "nothing", "openlineage": {"parentRunId": "1"}}):
        embed().execute({"dag": dag, "dag_run": a_run(conf=conf)})  # type: ignore[typeddict-item]
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("code", [65, 78, 2])
def test_bad_data_and_wrong_settings_fail_at_once_with_the_jobs_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    script = f'echo "embed_images: no such model" >&2; echo "the JVM says goodbye" >&2; exit {code}'
    deploy(monkeypatch, interpreter(tmp_path, script))
    with pytest.raises(AirflowFailException, match=r"^embed_images: no such model .*not tried again"):
        embed().execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("script", "code"), [("exit 75", "75"), ("exit 1", "1"), ("kill -9 $$", "-9")])
def test_anything_else_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, code: str
) -> None:
    deploy(monkeypatch, interpreter(tmp_path, f"echo the store did not answer; {script}"))
    with pytest.raises(AirflowException, match=f"ended with {code}: the store did not answer") as raised:
        embed().execute({})  # type: ignore[typeddict-item]
    assert not isinstance(raised.value, AirflowFailException)


def test_a_killed_task_leaves_no_process_of_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    # The job ignores polite requests, and so does what it started.
    python = interpreter(tmp_path, f"trap '' TERM; sleep 1000 & echo $$ $! > {ready}; wait; wait")
    deploy(monkeypatch, python)
    monkeypatch.setattr("dags.local_process.GRACE_SECONDS", 0.2)
    task = embed()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            task.execute({})  # type: ignore[typeddict-item]
        except BaseException as error:
            failures.append(error)

    running = threading.Thread(target=run)
    running.start()
    family = [int(pid) for pid in ready.read_text().split()]
    task.on_kill()
    running.join(30)
    assert not running.is_alive()
    assert [type(error) for error in failures] == [AirflowException]
    # The kernel closes a killed process's output before it calls it dead: what is still on its way out gets a moment.
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in family if is_running(pid)] == []


def test_a_job_ends_with_a_task_that_had_no_time_to_stop_it(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    code = (
        "import sys; from dags.local_process import LocalProcess\n"
        "LocalProcess().run(sys.argv[1:], folder=None, environment={}, on_line=print, verdict_prefix='')"
    )
    job = interpreter(tmp_path, f"echo $$ > {ready}; exec /bin/sleep 1000")
    task = subprocess.Popen([sys.executable, "-c", code, str(job)], cwd=ROOT)
    pid = int(ready.read_text())
    assert is_running(pid)
    task.kill()
    task.wait()
    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_interpreter_that_is_not_there_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, tmp_path / "missing")
    with pytest.raises(AirflowFailException, match="cannot start"):
        embed().execute({})  # type: ignore[typeddict-item]


def test_a_wrong_deployment_fails_at_once_and_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SHOPLENS", '{"lake": "/lake"}')
    with pytest.raises(AirflowFailException, match="store is missing in Airflow Variable shoplens"):
        read_deployment()


@pytest.mark.parametrize(("settings", "says"), [("{", "is no JSON"), (None, "there is no Airflow Variable shoplens")])
def test_a_deployment_that_is_not_there_fails_at_once_and_says_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, settings: str | None, says: str
) -> None:
    def get(*_: Any, **__: Any) -> Any:
        return json.loads(settings) if settings else None

    monkeypatch.setattr(Variable, "get", get)
    with pytest.raises(AirflowFailException, match=says):
        read_deployment()


def test_a_scheduled_run_has_its_interval() -> None:
    start, end = datetime(2026, 1, 30, 2, tzinfo=UTC), datetime(2026, 1, 31, 2, tzinfo=UTC)
    interval = interval_of(a_run(data_interval_start=start, data_interval_end=end))
    assert (interval.start, interval.end) == (start, end)


def test_a_run_without_a_logical_date_takes_the_day_up_to_its_trigger_in_whole_seconds() -> None:
    interval = interval_of(a_run())
    assert interval.end == datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)
    assert interval.start == datetime(2026, 1, 30, 9, 30, 15, tzinfo=UTC)


def test_each_night_may_have_its_own_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, tmp_path, catalog="s3://shop/{end:%Y-%m-%d}")
    assert catalog_of(a_run(), None) == "s3://shop/2026-01-31"
    assert catalog_of(a_run(), "/other") == "/other"
    for braces in ("{day}", "{end.nothing}", "{end[0]}", "{"):
        with pytest.raises(AirflowFailException, match=r"start.* and .*end.* only"):
            catalog_of(a_run(), f"s3://shop/{braces}")
