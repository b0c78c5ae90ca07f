"""A whole Airflow on this machine: scheduler, DAG processor and API server over SQLite, in a folder of its own.

Standard library only, so that the demo and the tests can start it from any environment.

    with start_airflow(folder, environment={"AIRFLOW_VAR_SHOPLENS": settings}) as airflow:
        airflow.unpause("catalog_nightly")
        airflow.command("backfill", "create", ...)
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import Misconfigured, TryAgain

PROJECT = Path(__file__).resolve().parent.parent
COMPONENTS = ("api-server", "scheduler", "dag-processor")
GRACE_SECONDS = 20

LOCKED, LOCKED_TRIES = "database is locked", 5


class AirflowFailed(TryAgain):
    """Airflow did not start, or a command of it ended with an error."""


@dataclass
class AirflowHome:
    """A running Airflow. `url` is its page and API; logs of its parts are in `folder`/components."""

    folder: Path
    url: str
    environment: dict[str, str]
    executable: Path
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _token: str | None = None

    def command(self, *arguments: str) -> str:
        """Run `airflow ARGUMENTS` and return what it printed. Raises AirflowFailed with its last lines.

        SQLite refuses at once, whatever its timeout, to let a transaction that has read write what another changed since.
        Airflow takes back what it had begun, but for the note of a backfill, and means the command to be given again.
        """
        for _ in range(LOCKED_TRIES):
            done = subprocess.run(
                [str(self.executable), *arguments], env=self.environment, capture_output=True, text=True, check=False
            )
            if not done.returncode:
                return done.stdout
            if LOCKED not in done.stdout + done.stderr:
                break
        raise AirflowFailed(f"airflow {' '.join(arguments)}: {_last_lines(done.stdout + done.stderr)}")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to the REST API (`path` follows /api/v2/). Raises urllib's HTTPError on 4xx and 5xx."""
        if self._token is None:
            self._token = _request("GET", f"{self.url}/auth/token", None, None)["access_token"]
        return _request(method, f"{self.url}/api/v2/{path}", body, self._token)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG. Its newest complete interval starts at once unless a run of it exists."""
        self.call("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"dags/{dag_id}/dagRuns?limit=100&order_by=logical_date")["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"])

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """The text of one try's log, as it lies on disk."""
        path = self.task_log_path(dag_id, run_id, task_id, try_number)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def task_log_path(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> Path:
        return self.folder / "logs" / f"dag_id={dag_id}/run_id={run_id}/task_id={task_id}/attempt={try_number}.log"

    def wait_until(self, true: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Ask again and again. Raises AirflowFailed when time is up or a part of Airflow has ended."""
        deadline = time.monotonic() + timeout_s
        while not true():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AirflowFailed(f"airflow {name} ended with {process.returncode}: {self._component_log(name)}")
            if time.monotonic() > deadline:
                raise AirflowFailed(f"waited {timeout_s:.0f} s for {what}: see {self.folder / 'components'}")
            time.sleep(0.5)

    def start(self, components: Sequence[str]) -> None:
        (self.folder / "components").mkdir(parents=True, exist_ok=True)
        for name in components:
            with (self.folder / "components" / f"{name}.log").open("wb") as log:
                self._processes[name] = subprocess.Popen(
                    [str(self.executable), name], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip

    def stop(self) -> None:
        """End all parts and the tasks that they run: those that take too long, or all once who waits has had enough."""
        for process in self._processes.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            for process in self._processes.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            for process in self._processes.values():
                _signal_group(process, signal.SIGKILL)
                process.wait()
            self._processes.clear()

    def is_healthy(self) -> bool:
        """Whether the API answers and scheduler and DAG processor beat."""
        try:
            health = self.call("GET", "monitor/health")
        except (OSError, KeyError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG is there to be run. Raises AirflowFailed where its file does not import."""
        if errors := self.call("GET", "importErrors")["import_errors"]:
            raise AirflowFailed(f"{errors[0]['filename']}: {_last_lines(errors[0]['stack_trace'], 1)}")
        try:
            self.call("GET", f"dags/{dag_id}")
        except urllib.error.HTTPError:
            return False
        return True

    def __enter__(self) -> "AirflowHome":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _component_log(self, name: str) -> str:
        return _last_lines((self.folder / "components" / f"{name}.log").read_text(encoding="utf-8", errors="replace"))


def start_airflow(
    folder: Path,
    *,
    environment: Mapping[str, str],
    port: int | None = None,
    dags: Path = PROJECT / "dags",
    dag_ids: Sequence[str] = ("catalog_nightly",),
    components: Sequence[str] = COMPONENTS,
    executable: Path = PROJECT / ".venv/airflow/bin/airflow",
    timeout_s: float = 180,
) -> AirflowHome:
    """Start Airflow in `folder`, with the pools of `dags`, and wait until `dag_ids` are there (paused).

    `port` None takes a free one. `environment` is added for all parts and their tasks; AIRFLOW_VAR_SHOPLENS goes there.
    Raises Misconfigured where the port is taken or Airflow is not installed, AirflowFailed where it does not come up.
    """
    if not executable.exists():
        raise Misconfigured(f"no Airflow at {executable}: run `make environments`")
    if port is not None and not _is_free(port):
        raise Misconfigured(f"port {port} is in use: stop what listens there, or choose another")
    port = port or free_port()
    home = AirflowHome(folder, f"http://127.0.0.1:{port}", _settings(folder, port, dags, environment), executable)
    home.command("db", "migrate")
    home.start(components)
    try:
        home.wait_until(home.is_healthy, "Airflow to be healthy", timeout_s)
        _import_pools(home, dags / "pools.json")
        for dag_id in dag_ids:
            home.wait_until(lambda dag_id=dag_id: home.has_dag(dag_id), f"DAG {dag_id}", timeout_s)  # type: ignore[misc]
    except BaseException:
        home.stop()
        raise
    return home


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings(folder: Path, port: int, dags: Path, environment: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    url = f"http://127.0.0.1:{port}"
    return {
        **inherited,
        "AIRFLOW_HOME": str(folder.absolute()),
        "PYTHONPATH": str(PROJECT),
        # SQLite gives up on a lock after five seconds unless told otherwise: a busy machine holds one for longer.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder.absolute()}/airflow.db?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # One Spark driver at a time and one small task beside it.
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # it listens on this machine only
        # The port alone is not enough: tasks look for the API under the base URL, and their tokens are checked there.
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **environment,
    }


def _import_pools(home: AirflowHome, path: Path) -> None:
    there = {pool["name"] for pool in home.call("GET", "pools?limit=100")["pools"]}
    for name, pool in json.loads(path.read_text(encoding="utf-8")).items():
        if name not in there:
            home.call("POST", "pools", {"name": name, **pool})


def _request(method: str, url: str, body: Mapping[str, Any] | None, token: str | None) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _last_lines(text: str, count: int = 5) -> str:
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-count:])
