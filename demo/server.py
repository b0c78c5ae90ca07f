"""The shop's web server: photos over HTTP/1.1, their faults, and counts of what was asked.

    python -m demo.server --root DIR --port 0

GET /photos/…          a photo (or its fault), with ETag and Last-Modified; 304 where the client has it
GET /catalog.csv       any other file of the catalog's folder
GET /stats             counts, by folder and by host (demo/traffic.py); /stats/paths by path
POST /stats/reset      start counting anew; POST /faults/reset lets what fails once fail again

A bare asyncio protocol and the standard library only, so that any environment can run it and a benchmark of downloads
measures the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from demo.connection import Connection
from demo.shop import ServerConfig, Shop

START_TIMEOUT_S = 30.0


async def run_server(config: ServerConfig, started: Callable[[str], None], *, until_stdin_closes: bool = False) -> None:
    """Serve until SIGTERM or SIGINT (or the end of standard input); `started` is given the base URL."""
    loop = asyncio.get_running_loop()
    shop = Shop(config)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_closes:

        def stop_at_end() -> None:
            if not os.read(sys.stdin.fileno(), 1024):
                stopped.set()

        loop.add_reader(sys.stdin.fileno(), stop_at_end)
    server = await loop.create_server(lambda: Connection(shop), config.host, config.port, backlog=1024)
    name = "127.0.0.1" if config.host == "0.0.0.0" else config.host
    started(f"http://{name}:{server.sockets[0].getsockname()[1]}")
    try:
        await stopped.wait()
    finally:
        server.close()
        if shop.drawn is not None:
            shop.drawn.close()


@contextlib.contextmanager
def serve(
    root: Path, *, latency_s: float = 0.0, slow_s: float = 300.0, host: str = "127.0.0.1", port: int = 0
) -> Iterator[str]:
    """Serve a catalog's folder from a process of its own; yield the base URL. Raises RuntimeError if it does not start."""
    command = [sys.executable, "-m", "demo.server", "--root", str(root.resolve()), "--host", host, "--port", str(port)]
    command += ["--until-stdin-closes"]
    command += ["--latency-s", str(latency_s), "--slow-s", str(slow_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            base_url = server.stdout.readline().strip()
            if not base_url.startswith("http://"):
                raise RuntimeError(
                    f"the demo server for {root} did not start: exit code {server.wait(START_TIMEOUT_S)}"
                )
            yield base_url
        finally:
            # The pipe's end also ends the server where this process is killed.
            server.stdin.close()
            server.wait(START_TIMEOUT_S)


@click.command(help="Serve a demo catalog's photos over HTTP.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 answers to 127.0.0.2 and so on, too.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--port-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the port here once up.")
@click.option("--latency-s", type=click.FloatRange(0), default=0.0, help="Seconds before every reply.")
@click.option("--slow-s", type=click.FloatRange(0), default=300.0, show_default=True, help="Seconds of a slow host.")
@click.option("--until-stdin-closes", is_flag=True, help="Stop when standard input ends.")
def main(port_file: Path | None, until_stdin_closes: bool, **options: object) -> None:
    """Print the server's address as one line, then serve."""

    def started(base_url: str) -> None:
        if port_file is not None:
            unfinished = port_file.with_suffix(".part")
            unfinished.write_text(base_url.rpartition(":")[2] + "\n", encoding="utf-8")
            unfinished.replace(port_file)
        click.echo(base_url)
        sys.stdout.flush()

    config = ServerConfig(**options)  # type: ignore[arg-type]
    try:
        asyncio.run(run_server(config, started, until_stdin_closes=until_stdin_closes))
    except OSError as error:
        click.echo(f"cannot listen on {config.host}:{config.port} ({error.strerror}): choose another --port", err=True)
        raise SystemExit(78) from error


if __name__ == "__main__":
    main()
