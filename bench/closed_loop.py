"""A load of so many connections, each of which asks again as soon as it has its answer.

Every connection is a process of its own (a fork: it starts at once), so that clients do not wait for each other's interpreter; it connects anew now
and then, so that workers share the load as they would with many shoppers.
"""

import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

import numpy as np

from bench.photo_queries import CONTENT_TYPE

ASKED_PER_CONNECTION = 50


@dataclass(frozen=True)
class Answered:
    """One answer: milliseconds from sending to having read it whole, and the searcher's own times by stage."""

    milliseconds: float
    stages_ms: dict[str, float]


def ask_closed_loop(port: int, bodies: Sequence[bytes], connections: int, asked: int, warm: int) -> list[Answered]:
    """Ask `asked` times together, after `warm` times that do not count. Raises SystemExit on any answer but 200."""
    with ProcessPoolExecutor(connections, mp_context=get_context("fork")) as pool:
        shares = [list(bodies[place::connections]) for place in range(connections)]
        futures = [pool.submit(_ask, port, share, asked // connections, warm // connections) for share in shares]
        return [answered for future in futures for answered in future.result()]


def _ask(port: int, bodies: Sequence[bytes], asked: int, warm: int) -> list[Answered]:
    found: list[Answered] = []
    connection = _connect(port)
    for number in count():
        if len(found) == asked:
            break
        if number % ASKED_PER_CONNECTION == ASKED_PER_CONNECTION - 1:
            connection.close()
            connection = _connect(port)
        body = bodies[number % len(bodies)]
        started = time.perf_counter()
        connection.request("POST", "/search", body, {"Content-Type": CONTENT_TYPE})
        answer = connection.getresponse()
        data = answer.read()
        milliseconds = 1e3 * (time.perf_counter() - started)
        if answer.status != http.client.OK:
            raise SystemExit(f"/search answered {answer.status}: {data[:300]!r}")
        if number >= warm:
            found.append(Answered(milliseconds, json.loads(data).get("stages_ms", {})))
    connection.close()
    return found


def _connect(port: int) -> http.client.HTTPConnection:
    """Connected before the clock runs."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    return connection


def percentile(answers: Sequence[Answered], wanted: float) -> float:
    return float(np.percentile([answered.milliseconds for answered in answers], wanted))


def stage_shares(answers: Sequence[Answered]) -> dict[str, tuple[float, float]]:
    """The mean milliseconds of each stage and its share of the whole; `the rest` is HTTP, parsing, JSON and logging."""
    whole = float(np.mean([answered.milliseconds for answered in answers]))
    names = dict.fromkeys(name for answered in answers for name in answered.stages_ms)
    means = {name: float(np.mean([answered.stages_ms.get(name, 0.0) for answered in answers])) for name in names}
    means["the rest"] = whole - sum(means.values())
    return {name: (mean, mean / whole) for name, mean in means.items()}
