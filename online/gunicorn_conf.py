"""gunicorn's settings: threads in a few processes, each with its own snapshot of shared, mapped files.

No preload: FAISS and ONNX Runtime must not be used before a fork. `OMP_NUM_THREADS` is set here because it is read
when a worker first loads OpenMP; a search uses one thread, and many searches run at once.
"""

import os
import shutil
import tempfile
from typing import Any

from online.config import METRICS_FOLDER, ServingConfig
from online.logs import gunicorn_logging

_config = ServingConfig.from_env(os.environ)

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_own_metrics_folder = None
if not os.environ.get(METRICS_FOLDER):
    _own_metrics_folder = tempfile.mkdtemp(prefix="shoplens-metrics-")
    os.environ[METRICS_FOLDER] = _own_metrics_folder

bind = _config.bind
worker_class = "gthread"
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
logconfig_dict = gunicorn_logging()


def child_exit(server: Any, worker: Any) -> None:
    """A worker that is gone must not go on counting in the gauges."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    if _own_metrics_folder is not None:
        shutil.rmtree(_own_metrics_folder, ignore_errors=True)
