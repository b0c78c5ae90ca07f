"""Start the searcher on this machine: `python -m online.serve --store STORE --cache DIR [--port 8080]`.

Checks what can be checked first, then becomes gunicorn, so that signals reach it directly. The port is taken before
anything starts and handed over open.
"""

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any

from schemas.errors import EXIT_MISCONFIGURED, Misconfigured
from schemas.pointer import POINTER_KEY

try:
    import click

    from online.access.exposure import refuse_open_doors
    from online.access.keys import read_keys
    from online.config import BIND, CACHE, PROCESSES_MAX, SPOOL, STORE, THREADS, WORKERS, ServingConfig
    from online.settings import make_folder
    from online.snapshots.cache_folder import refuse_foreign_folder
    from retrieval.cli import run_command
    from retrieval.store.objects import open_store
except ModuleNotFoundError as error:  # another environment: it has no way to say anything else either
    if __name__ != "__main__":
        raise
    print(
        f"online.serve: {error.name} is not installed in the environment of {sys.executable}: run it with the Python of "
        "the online environment, .venv/online/bin/python",
        file=sys.stderr,
    )
    sys.exit(EXIT_MISCONFIGURED)

# glibc reads these when a process starts. Without them, what one large photo needed stays with the worker for good.
MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}

DEFAULTS = ServingConfig()


class Folder(click.ParamType[Path]):
    """A path. Empty, as a variable is that was not filled in, it would be the folder that this is started in."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value).strip():
            self.fail("it is empty: name a folder", param, ctx)
        return Path(value)


@click.command("online.serve")
@click.option("--store", required=True, help="Object store: s3://bucket/prefix or a folder.")
@click.option(
    "--cache", required=True, type=Folder(), help="Folder for downloaded builds and models, and nothing else."
)
@click.option(
    "--spool",
    type=Folder(),
    help=f"Folder for impressions and clicks; default {SPOOL}, or CACHE/spool.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option(
    "--workers", type=click.IntRange(1, PROCESSES_MAX), help=f"Processes; default {WORKERS}, or {DEFAULTS.workers}."
)
@click.option(
    "--threads",
    type=click.IntRange(1, PROCESSES_MAX),
    help=f"Threads a process; default {THREADS}, or {DEFAULTS.threads}.",
)
def serve(
    store: str, cache: Path, spool: Path | None, host: str, port: int, workers: int | None, threads: int | None
) -> None:
    """Serve the published index at http://HOST:PORT/ until stopped."""
    refuse_foreign_folder(cache)
    keys = read_keys(os.environ)
    listener = take_port(host, port)
    refuse_open_doors([listener], keys)
    published = open_store(store).get(POINTER_KEY) is not None
    make_folder(cache, "cache folder", "--cache")
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
    print(f"searcher at {address}" + ("" if published else f" (nothing is published in {store} yet)"), flush=True)
    settings = {STORE: store, CACHE: str(cache), BIND: f"fd://{listener.fileno()}"}
    given = {SPOOL: spool, WORKERS: workers, THREADS: threads}
    settings |= {name: str(value) for name, value in given.items() if value is not None}
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:online.gunicorn_conf", "online.wsgi:app"]
    os.execve(sys.executable, gunicorn, {**MALLOC, **os.environ, **settings})


def take_port(host: str, port: int) -> socket.socket:
    """A listening socket that a child process may inherit. Raises Misconfigured where the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Misconfigured(f"port {port} on {host} is in use: stop what uses it, or give another --port") from None
        raise Misconfigured(
            f"cannot listen on {host}:{port}: {error.strerror}; give another --host or --port"
        ) from None
    except OverflowError as error:
        raise Misconfigured(f"cannot listen on {host}:{port}: {error}") from None
    listener.set_inheritable(True)
    return listener


def main() -> None:
    run_command(serve)


if __name__ == "__main__":
    main()
