"""However the searcher is started: beyond this machine it listens only with a key."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import requests

from online.access.keys import KEYS, KEYS_FILE, Scope, create_key
from online.serve import take_port
from retrieval.store.objects import FolderStore
from tests.online.running import PATIENCE_S, ROOT, run_gunicorn

pytestmark = pytest.mark.full

SENT, STORED = create_key([Scope.SEARCH, Scope.ADMIN])
GUNICORN = ("gunicorn", "-c", "python:online.gunicorn_conf", "online.wsgi:app")


def start(
    arguments: Sequence[str], folder: Path, settings: dict[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run what is expected to give up at once; FOLDER stands for the folder."""
    environment = {
        "SHOPLENS_STORE": str(folder),
        "SHOPLENS_CACHE": str(folder / "cache"),
        "TMPDIR": str(folder),
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", *(argument.replace("FOLDER", str(folder)) for argument in arguments)], cwd=ROOT, env=environment, pass_fds=pass_fds, text=True,
        capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def said_by_us(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What stands on standard error beside gunicorn's own log."""
    return [line for line in done.stderr.splitlines() if not line.startswith("{")]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (("online.serve", "--store", "FOLDER", "--cache", "FOLDER/cache", "--port", "0", "--host", "0.0.0.0"), {}),
        (("online.serve", "--store", "FOLDER", "--cache", "FOLDER/cache", "--port", "0", "--host", "::"), {}),
        (GUNICORN, {"SHOPLENS_BIND": "0.0.0.0:0"}),
        (GUNICORN, {"SHOPLENS_BIND": "127.0.0.1:0, 0.0.0.0:0"}),
        ((*GUNICORN, "-b", "0.0.0.0:0"), {}),
        ((*GUNICORN, "-b", "127.0.0.1:0", "-b", "[::]:0"), {}),
        ((*GUNICORN, "-b", "0.0.0.0:0", "--reuse-port"), {}),
    ],
    ids=["serve", "serve on IPv6", "gunicorn's setting", "one of two in it", "gunicorn -b", "one of two", "reuse-port"],
)
def test_without_a_key_it_refuses_in_one_line(
    arguments: Sequence[str], settings: dict[str, str], tmp_path: Path
) -> None:
    done = start(arguments, tmp_path, settings)
    assert done.returncode == 78
    (line,) = said_by_us(done)
    assert "without an API key: make one with `shoplens key create`" in line
    assert list(tmp_path.glob("shoplens-*")) == []
    assert "Booting worker" not in done.stderr


def test_a_port_that_was_handed_over_open_is_judged_too(tmp_path: Path) -> None:
    with take_port("0.0.0.0", 0) as listener:
        settings = {"SHOPLENS_BIND": f"fd://{listener.fileno()}"}
        assert start(GUNICORN, tmp_path, settings, [listener.fileno()]).returncode == 78


@pytest.mark.parametrize(
    "settings",
    [
        {KEYS: "nonsense"}, {KEYS_FILE: "/nowhere"}, {"SHOPLENS_POLL_INTERVAL_S": "often"},
        {"SHOPLENS_WORKERS": "many"}, {"SHOPLENS_RATE_LIMIT": "seldom"}, {"SHOPLENS_REDIS_URL": "localhost"},
        {"SHOPLENS_ENCODER_PRECISION": "fp7"}, {"SHOPLENS_API_KEY_FILE": "keys"},
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "arguments", [GUNICORN, ("online.serve", "--store", "FOLDER", "--cache", "FOLDER/cache", "--port", "0")]
)
def test_a_wrong_setting_is_one_line_too(arguments: Sequence[str], settings: dict[str, str], tmp_path: Path) -> None:
    done = start(arguments, tmp_path, settings)
    assert (done.returncode, len(said_by_us(done))) == (78, 1)
    assert next(iter(settings)) in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOPLENS_STORE", "ftp://shop"), ("SHOPLENS_BIND", "127.0.0.1"), ("SHOPLENS_CACHE", "/dev/null/cache"),
        ("PROMETHEUS_MULTIPROC_DIR", "/dev/null/figures"),
    ],
)  # fmt: skip
def test_what_serve_says_itself_is_looked_at_where_gunicorn_is_started(name: str, value: str, tmp_path: Path) -> None:
    done = start(GUNICORN, tmp_path, {name: value})
    assert (done.returncode, len(said_by_us(done))) == (78, 1)
    assert name in done.stderr
    assert "Booting worker" not in done.stderr


def test_an_environment_without_its_libraries_is_told_where_they_are(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "online.serve", "--store", str(tmp_path), "--cache", str(tmp_path / "c")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert "click is not installed in the environment" in done.stderr
    assert ".venv/online/bin/python" in done.stderr


def test_an_option_that_was_not_filled_in_is_not_the_folder_it_is_started_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "online.serve", "--store", str(tmp_path), "--cache", "", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--cache': it is empty: name a folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [GUNICORN, ("online.serve", "--store", "FOLDER", "--cache", "FOLDER", "--port", "0")]
)
def test_a_store_that_is_named_as_the_cache_is_refused_before_anything_is_removed(
    arguments: Sequence[str], tmp_path: Path
) -> None:
    (tmp_path / "builds" / "b1").mkdir(parents=True)
    done = start(arguments, tmp_path, {"SHOPLENS_CACHE": str(tmp_path)})
    assert (done.returncode, len(said_by_us(done))) == (78, 1)
    assert "builds/b1 was not downloaded there" in done.stderr
    assert (tmp_path / "builds" / "b1").exists()


def test_a_port_that_only_root_may_have_is_one_line_too(tmp_path: Path) -> None:
    """Root without the right to have it is as everybody else."""
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        return  # this host gives every port to everybody, as Docker does: there is nothing that could be refused
    command = [sys.executable, "-m", "online.serve", "--store", str(tmp_path), "--cache", str(tmp_path / "c"), "--port"]
    done = subprocess.run(
        [*command, "1"], cwd=ROOT, preexec_fn=give_up_low_ports, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "online.serve: cannot listen on 127.0.0.1:1: Permission denied; give another --host or --port\n"
    )
    assert not (tmp_path / "c").exists()


def give_up_low_ports() -> None:
    """For good, before the program is started; who is not root has no such right to give up."""
    drop, low_ports = 24, 10  # PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE
    ctypes.CDLL(None).prctl(drop, low_ports, 0, 0, 0)


@pytest.mark.parametrize(("option", "workers"), [((), 3), (("--workers", "1"), 1)])
def test_serve_takes_from_the_environment_what_no_option_says(
    tmp_path: Path, option: Sequence[str], workers: int
) -> None:
    folders = ("--store", str(tmp_path / "store"), "--cache", str(tmp_path / "cache"))
    settings = {"SHOPLENS_WORKERS": "3", "SHOPLENS_SPOOL": str(tmp_path / "events")}
    with subprocess.Popen(
        [sys.executable, "-m", "online.serve", *folders, "--port", "0", *option], cwd=ROOT,
        env={**os.environ, **settings}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[2]
            clicked = {"request_id": "1", "product_id": "shirt-red", "position": 0}
            assert requests.post(f"{url}click", json=clicked, timeout=PATIENCE_S).status_code == 204
        finally:
            process.terminate()
            said = process.communicate(timeout=PATIENCE_S)[1]
    assert said.count("Booting worker") == workers
    assert list((tmp_path / "events").iterdir())


def test_with_a_key_it_listens_everywhere_and_answers_who_has_it(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(STORED.line)
    settings, headers = {KEYS_FILE: str(tmp_path / "keys")}, {"Authorization": f"Bearer {SENT}"}
    with run_gunicorn(store, tmp_path, settings, host="0.0.0.0", headers=headers) as running:
        assert running.search().status_code == 200
        refused = requests.post(f"{running.url}/search", json={"text": "red"}, timeout=PATIENCE_S)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/key-required")
        assert requests.get(f"{running.url}/ready", timeout=PATIENCE_S).status_code == 200
