"""Counters that the workers of one host share: a store for the library `limits`, which has none of the kind.

A row a counter in SQLite, changed by one statement, so that no two workers lose a hit. Nothing is synced to disk: the
folder is a new one at each start.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from limits.storage import Storage

FILE = "counters.sqlite3"
BUSY_TIMEOUT_S = 0.25
_SWEEP_SHARE = 0.01
_RACE_WAIT_S = 0.005

_HIT = """
INSERT INTO counters VALUES (:key, :amount, :now + :expiry)
ON CONFLICT (key) DO UPDATE SET
    hits = CASE WHEN expires_at > :now AND expires_at < :too_late THEN hits + :amount ELSE :amount END,
    expires_at = CASE WHEN expires_at > :now AND expires_at < :too_late THEN expires_at ELSE :now + :expiry END
RETURNING hits
"""


class HostCounters(Storage):
    """Fixed windows that begin with their first hit. Safe for many processes and threads; times in seconds.

    A clock that is set back by a window or more begins them anew: a caller would else be refused until it is there again.
    """

    STORAGE_SCHEME = None

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(wrap_exceptions=True)
        self._path, self._clock, self._busy_timeout_s = folder / FILE, clock, busy_timeout_s
        self._own = threading.local()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = self._clock()
        times = {"now": now, "expiry": expiry, "too_late": now + 2 * expiry}
        hits = self._ask(_HIT, {"key": key, "amount": amount, **times}, 0)
        if hits == amount and random.random() < _SWEEP_SHARE:
            self._connection().execute("DELETE FROM counters WHERE expires_at <= ?", [now])
        return int(hits)

    def get(self, key: str) -> int:
        found = "SELECT hits FROM counters WHERE key = :key AND expires_at > :now"
        return int(self._ask(found, {"key": key, "now": self._clock()}, 0))

    def get_expiry(self, key: str) -> float:
        now = self._clock()
        return max(now, self._ask("SELECT expires_at FROM counters WHERE key = :key", {"key": key}, now))

    def check(self) -> bool:
        return self._ask("SELECT 1", {}, 0) == 1

    def reset(self) -> int | None:
        return self._connection().execute("DELETE FROM counters").rowcount

    def clear(self, key: str) -> None:
        self._connection().execute("DELETE FROM counters WHERE key = ?", [key])

    def _ask(self, statement: str, values: dict[str, str | float], otherwise: float) -> float:
        found = self._connection().execute(statement, values).fetchall()
        return float(found[0][0]) if found else otherwise

    def _connection(self) -> sqlite3.Connection:
        """This thread's own, opened after the fork."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
            self._write_ahead(connection)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, hits INTEGER, expires_at REAL) WITHOUT ROWID"
            )
            self._own.connection = connection
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """The file's mode from its first connection on. Where several change it at once, SQLite refuses all but one without
        waiting, as it does for everything else."""
        ends = time.monotonic() + self._busy_timeout_s
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(_RACE_WAIT_S)
