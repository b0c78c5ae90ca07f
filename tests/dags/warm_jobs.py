"""The jobs in one process whose Spark stays up: what a scheduler does to jobs, without paying for each one's start-up.

    python -m tests.dags.warm_jobs serve SOCKET        in the pipeline environment
    python tests/dags/warm_jobs.py SOCKET -m spark_jobs.NAME ARGUMENTS

The second form stands where a deployment names its interpreter. It hands its standard output to the first, waits, and
ends with the job's exit code; killed, it leaves the job to finish.
"""

import importlib
import json
import os
import socket
import sys
import traceback


def serve(address: str) -> None:
    """Run jobs one after another until killed."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        # Before any job: a JVM that inherited a caller's output would keep it open after the job.
        importlib.import_module("spark_jobs.running.session").open_session("warm_jobs")
        while True:
            caller, _ = listener.accept()
            with caller:
                message, outputs, _, _ = socket.recv_fds(caller, 1 << 16, 1)
                caller.sendall(str(_run(json.loads(message), outputs[0])).encode())


def _run(arguments: list[str], output: int) -> int:
    """Run `-m MODULE ARGUMENTS`, all that it writes going to `output`; returns its exit code."""
    own = os.dup(1), os.dup(2)
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        return int(importlib.import_module(arguments[1]).main(arguments[2:]))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(own[0], 1)
        os.dup2(own[1], 2)
        for handle in (*own, output):
            os.close(handle)


def call(address: str, arguments: list[str]) -> int:
    """Have a job run by the server. Returns its exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [json.dumps(arguments).encode()], [1])
        return int(server.recv(16) or b"1")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(call(sys.argv[1], sys.argv[2:]))
