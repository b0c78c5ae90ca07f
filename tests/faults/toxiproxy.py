"""A TCP proxy in front of a server, which makes its answers late, cut short or reset: toxiproxy, told over HTTP."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from tests.servers import free_port, wait_for_http

TIMEOUT_S = 30


@dataclass(frozen=True)
class Toxiproxy:
    """A running toxiproxy; `api` is where it is told what to do."""

    api: str

    @contextmanager
    def before(self, upstream: str) -> Iterator["Toxic"]:
        """A proxy in front of `host:port`, gone afterwards with all its connections."""
        name = uuid.uuid4().hex
        told = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream}
        listening = _answer(requests.post(f"{self.api}/proxies", json=told, timeout=TIMEOUT_S))["listen"]
        try:
            yield Toxic(f"{self.api}/proxies/{name}", f"http://{listening}")
        finally:
            requests.delete(f"{self.api}/proxies/{name}", timeout=TIMEOUT_S)


@dataclass(frozen=True)
class Toxic:
    """One proxy: clients use `url`."""

    api: str
    url: str

    @contextmanager
    def late(self, seconds: float) -> Iterator[None]:
        """Every answer comes so much later."""
        with self._toxic("latency", {"latency": int(seconds * 1000)}):
            yield

    @contextmanager
    def reset(self, share: float = 1.0) -> Iterator[None]:
        """This share of connections is reset as soon as the server answers."""
        with self._toxic("reset_peer", {"timeout": 0}, share):
            yield

    @contextmanager
    def cut_short(self, answer_bytes: int, share: float = 1.0) -> Iterator[None]:
        """This share of connections ends after so many bytes of answers."""
        with self._toxic("limit_data", {"bytes": answer_bytes}, share):
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens there."""
        self._set_enabled(False)
        try:
            yield
        finally:
            self._set_enabled(True)

    @contextmanager
    def _toxic(self, kind: str, attributes: dict[str, Any], share: float = 1.0) -> Iterator[None]:
        told = {"name": kind, "type": kind, "stream": "downstream", "toxicity": share, "attributes": attributes}
        self._reconnect()
        _answer(requests.post(f"{self.api}/toxics", json=told, timeout=TIMEOUT_S))
        try:
            yield
        finally:
            requests.delete(f"{self.api}/toxics/{kind}", timeout=TIMEOUT_S)
            self._reconnect()

    def _reconnect(self) -> None:
        """Toxics are drawn once a connection: those that clients keep alive must not outlive a change."""
        self._set_enabled(False)
        self._set_enabled(True)

    def _set_enabled(self, enabled: bool) -> None:
        _answer(requests.post(self.api, json={"enabled": enabled}, timeout=TIMEOUT_S))


@contextmanager
def run_toxiproxy(program: str) -> Iterator[Toxiproxy]:
    port = free_port()
    command = [program, "-host", "127.0.0.1", "-port", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_http(f"http://127.0.0.1:{port}/version", running)
        yield Toxiproxy(f"http://127.0.0.1:{port}")
    finally:
        running.terminate()
        running.wait(TIMEOUT_S)


def _answer(response: requests.Response) -> Any:
    assert response.ok, f"toxiproxy: {response.status_code} {response.text}"
    return response.json()
