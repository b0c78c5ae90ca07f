"""gunicorn's settings: threads in a few processes, each with its own snapshot of shared, mapped files.

No preload: FAISS and ONNX Runtime must not be used before a fork. `OMP_NUM_THREADS` is set here because it is read
when a worker first loads OpenMP; a search uses one thread, and many searches run at once.
"""

import gc
import itertools
import os
import shutil
import sys
import tempfile
from typing import Any, NoReturn

from online.access.exposure import refuse_addresses, refuse_open_doors
from online.access.rate_limits import refuse_wrong_limits
from online.config import CACHE, METRICS_FOLDER, SETTINGS, SHARED_FOLDER, SearcherConfig, ServingConfig
from online.settings import make_folder, refuse_misspelt
from online.snapshots.cache_folder import refuse_foreign_folder
from online.telemetry.logs import gunicorn_logging
from online.worker import WORK_LOADS
from schemas.errors import Misconfigured


def _give_up(error: Misconfigured) -> NoReturn:
    """In one line: gunicorn itself would write a traceback, and end with 1 or 3."""
    print(f"searcher: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


try:
    refuse_misspelt(os.environ, SETTINGS)
    _config, _searcher = ServingConfig.from_env(os.environ), SearcherConfig.from_env(os.environ)
    refuse_wrong_limits(_searcher.limits)
    make_folder(_searcher.cache_folder, "cache folder", CACHE)
    refuse_foreign_folder(_searcher.cache_folder)
    if _searcher.metrics_folder is not None:
        make_folder(_searcher.metrics_folder, "folder of figures", METRICS_FOLDER)
except Misconfigured as error:
    _give_up(error)

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_folder = tempfile.mkdtemp(prefix="shoplens-")  # what workers share for as long as this master lives
_of_old_master = os.path.join(os.environ.get(SHARED_FOLDER, _folder), "metrics")  # whom SIGUSR2 replaces by this one
os.environ[SHARED_FOLDER] = _folder
if os.environ.get(METRICS_FOLDER, "") in ("", _of_old_master):
    os.environ[METRICS_FOLDER] = os.path.join(_folder, "metrics")
    os.mkdir(os.environ[METRICS_FOLDER])
_master_pid = os.getpid()

bind = [address.strip() for address in _config.bind.split(",")]
worker_class = "online.worker.ThreadedWorker"
workers = _config.workers
threads = _config.threads
preload_app = False
timeout = _config.timeout_s
graceful_timeout = _config.graceful_timeout_s
keepalive = 15
max_requests = _config.requests_per_worker
max_requests_jitter = max(1, _config.requests_per_worker // 10)
control_socket_disable = True
proc_name = "shoplens"
logger_class = "online.telemetry.server_log.QuietLogger"
logconfig_dict = gunicorn_logging()


def when_ready(server: Any) -> None:
    """Ports are taken, however they were named (-b, fd, systemd), and no worker answers yet."""
    try:
        refuse_open_doors([listener.sock for listener in server.LISTENERS], _searcher.api_keys)
        if not server.LISTENERS:  # with reuse_port each worker opens its own
            refuse_addresses(
                [address[0] for address in server.cfg.address if isinstance(address, tuple)], _searcher.api_keys
            )
    except Misconfigured as error:
        on_exit(server)
        _give_up(error)


def pre_fork(server: Any, worker: Any) -> None:
    """A worker takes the metric files of one that is gone, and counts on in them: else each that is replaced after its
    requests would leave files for every scrape to read, for ever."""
    worker.config = _read_anew(server)
    taken = {running.place for running in server.WORKERS.values()}
    worker.place = next(place for place in itertools.count() if place not in taken)
    worker.metrics_name = f"{_master_pid}-{worker.place}"


def _read_anew(server: Any) -> SearcherConfig:
    """With the keys file as it is now. One that cannot be read, as while it is edited, leaves what was read last: a worker
    that failed to start for it would end the master, and all that answer."""
    global _searcher
    try:
        _searcher = SearcherConfig.from_env(os.environ)
    except Misconfigured as error:
        server.log.error("what was read before holds, also which keys: %s", error)
    return _searcher


def post_fork(server: Any, worker: Any) -> None:
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: worker.metrics_name)  # type: ignore[no-untyped-call]
    if _config.pin_workers:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[worker.place % len(cores)]})


def post_worker_init(worker: Any) -> None:
    """What a worker has loaded stays: the collector of garbage need not look through it again, for 30 ms a time."""
    gc.collect()
    gc.freeze()


def child_exit(server: Any, worker: Any) -> None:
    """A worker that is gone must not go on counting in the gauges, nor look idle."""
    from prometheus_client.multiprocess import mark_process_dead

    WORK_LOADS.write(worker.place, None)
    mark_process_dead(worker.metrics_name)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    shutil.rmtree(_folder, ignore_errors=True)
