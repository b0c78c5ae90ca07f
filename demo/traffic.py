"""What a server saw: counts by path, and by host the most requests at once and in any second."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

WINDOW_S = 1.0
REPEATS_SHOWN = 100


@dataclass
class HostTraffic:
    """Requests of one Host header; `recent` holds the times, in seconds, of those within the last second."""

    requests: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    per_second_max: int = 0
    recent: deque[float] = field(default_factory=deque)

    def begin(self, now_s: float) -> None:
        self.requests += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        self.recent.append(now_s)
        while self.recent[0] <= now_s - WINDOW_S:
            self.recent.popleft()
        self.per_second_max = max(self.per_second_max, len(self.recent))

    def end(self) -> None:
        self.in_flight -= 1


class Traffic:
    """Counters of one server; only its event loop touches them."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostTraffic] = {}
        self.everyone = HostTraffic()
        self.reset()

    def reset(self) -> None:
        """Forget all counts but what is in flight now."""
        self.requests: Counter[str] = Counter()
        self.full_bodies: Counter[str] = Counter()
        self.not_modified: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.body_bytes = 0
        for host in (self.everyone, *self.hosts.values()):
            host.requests, host.per_second_max, host.in_flight_max = 0, 0, host.in_flight
            host.recent.clear()

    def begin(self, host: str, path: str, now_s: float) -> None:
        """Count a request whose head has arrived."""
        self.requests[path] += 1
        self.everyone.begin(now_s)
        self.hosts.setdefault(host, HostTraffic()).begin(now_s)

    def end(self, host: str, path: str, status: int | None, body_bytes: int, *, full: bool) -> None:
        """Count its reply; status is None where the client left first, full says that a whole body went out."""
        self.everyone.end()
        self.hosts[host].end()
        if status is None:
            return
        self.statuses[status] += 1
        self.body_bytes += body_bytes
        if full:
            self.full_bodies[path] += 1
        elif status == 304:
            self.not_modified[path] += 1

    def summary(self) -> dict[str, Any]:
        """Return all counts, by folder and by host, and the paths that were sent in full more than once."""
        folders: dict[str, dict[str, int]] = {}
        for name in ("requests", "full_bodies", "not_modified"):
            for path, count in getattr(self, name).items():
                folder = folders.setdefault(path.rpartition("/")[0] or "/", {})
                folder[name] = folder.get(name, 0) + count
        repeats = {path: count for path, count in self.full_bodies.items() if count > 1}
        return {
            "requests": self.requests.total(),
            "full_bodies": self.full_bodies.total(),
            "not_modified": self.not_modified.total(),
            "body_bytes": self.body_bytes,
            "in_flight_max": self.everyone.in_flight_max,
            "per_second_max": self.everyone.per_second_max,
            "paths_sent_in_full_again": len(repeats),
            "sent_in_full_again": dict(sorted(repeats.items())[:REPEATS_SHOWN]),
            "by_status": {str(status): count for status, count in sorted(self.statuses.items())},
            "by_prefix": dict(sorted(folders.items())),
            "by_host": {
                name: {
                    "requests": host.requests,
                    "in_flight_max": host.in_flight_max,
                    "per_second_max": host.per_second_max,
                }
                for name, host in sorted(self.hosts.items())
            },
        }

    def by_path(self) -> dict[str, dict[str, int]]:
        """Return each path's counts."""
        return {
            path: {"requests": count, "full_bodies": self.full_bodies[path], "not_modified": self.not_modified[path]}
            for path, count in sorted(self.requests.items())
        }
