"""Every setting of the searcher, read from the environment once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from online.access.cross_origin import CrossOrigin
from online.access.image_links import ImageLinks
from online.access.keys import ApiKey, read_keys
from online.access.limit_settings import LimitSettings
from online.telemetry.tracing import asks_for_traces
from schemas.errors import Misconfigured

STORE = "SHOPLENS_STORE"
CACHE = "SHOPLENS_CACHE"
SPOOL = "SHOPLENS_SPOOL"
USER_HASH_KEY = "SHOPLENS_USER_HASH_KEY"
CURSOR_KEY = "SHOPLENS_CURSOR_KEY"
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SHARED_FOLDER = "SHOPLENS_SHARED_FOLDER"
BIND = "SHOPLENS_BIND"
WORKERS = "SHOPLENS_WORKERS"
THREADS = "SHOPLENS_THREADS"
PIN_WORKERS = "SHOPLENS_PIN_WORKERS"

MIB = 1 << 20

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class SearcherConfig:
    """What one worker needs. Sizes in bytes, times in seconds.

    Without `api_keys` only this machine is answered. `user_hash_key` None means that no trace of a user id is kept,
    `cursor_key` None that pages go on only on this host.
    `first_look_wait_s` is how long a starting worker keeps back from serving while its first snapshot loads, so that a
    replaced worker never answers 503. `shared_folder` is one that the workers of this start share. `trusted_proxies`
    counts those in front, each of which adds an address to X-Forwarded-For. `threads` is how many requests a worker answers
    at once.
    """

    store_uri: str
    cache_folder: Path
    spool_folder: Path
    api_keys: tuple[ApiKey, ...] = ()
    user_hash_key: bytes | None = None
    cursor_key: bytes | None = None
    body_max_bytes: int = 16 * MIB
    threads: int = 4
    poll_interval_s: float = 1.5
    first_look_wait_s: float = 20.0
    encoder_threads: int = 1
    encoder_precision: str = "auto"
    builds_kept: int = 2
    spool_file_max_bytes: int = 64 * MIB
    spool_file_max_age_s: float = 300.0
    metrics_folder: Path | None = None
    shared_folder: Path | None = None
    trusted_proxies: int = 0
    limits: LimitSettings = field(default_factory=LimitSettings)
    cross_origin: CrossOrigin = field(default_factory=CrossOrigin)
    image_links: ImageLinks = field(default_factory=ImageLinks)
    traces: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "SearcherConfig":
        """Reads the file of API keys too. Raises Misconfigured with the variable to set."""
        cache = Path(_required(environ, CACHE, "a folder for downloaded builds"))
        key = environ.get(USER_HASH_KEY, "")
        return cls(
            store_uri=_required(environ, STORE, "s3://bucket/prefix or a folder"),
            cache_folder=cache,
            spool_folder=Path(environ.get(SPOOL) or cache / "spool"),
            api_keys=read_keys(environ),
            user_hash_key=key.encode() if key else None,
            cursor_key=environ[CURSOR_KEY].encode() if environ.get(CURSOR_KEY) else None,
            body_max_bytes=_number(environ, "SHOPLENS_BODY_MAX_BYTES", cls.body_max_bytes, int),
            threads=_number(environ, THREADS, cls.threads, int),
            poll_interval_s=_number(environ, "SHOPLENS_POLL_INTERVAL_S", cls.poll_interval_s, float),
            first_look_wait_s=_number(environ, "SHOPLENS_FIRST_LOOK_WAIT_S", cls.first_look_wait_s, float),
            encoder_threads=_number(environ, "SHOPLENS_ENCODER_THREADS", cls.encoder_threads, int),
            encoder_precision=environ.get("SHOPLENS_ENCODER_PRECISION") or cls.encoder_precision,
            builds_kept=_number(environ, "SHOPLENS_BUILDS_KEPT", cls.builds_kept, int),
            spool_file_max_bytes=_number(environ, "SHOPLENS_SPOOL_FILE_MAX_BYTES", cls.spool_file_max_bytes, int),
            spool_file_max_age_s=_number(environ, "SHOPLENS_SPOOL_FILE_MAX_AGE_S", cls.spool_file_max_age_s, float),
            metrics_folder=Path(environ[METRICS_FOLDER]) if environ.get(METRICS_FOLDER) else None,
            shared_folder=Path(environ[SHARED_FOLDER]) if environ.get(SHARED_FOLDER) else None,
            trusted_proxies=_number(environ, "SHOPLENS_TRUSTED_PROXIES", cls.trusted_proxies, int, may_be_0=True),
            limits=LimitSettings.from_env(environ),
            cross_origin=CrossOrigin.from_env(environ),
            image_links=ImageLinks.from_env(environ),
            traces=asks_for_traces(environ),
        )


@dataclass(frozen=True)
class ServingConfig:
    """What gunicorn needs. A search holds one thread; the encoder releases the interpreter while it computes."""

    bind: str = "127.0.0.1:8080"
    workers: int = 2
    threads: int = 4
    timeout_s: int = 60
    graceful_timeout_s: int = 30
    requests_per_worker: int = 50_000
    pin_workers: bool = False
    """Each worker keeps to one core. For a host of the searcher's own: a worker does not go where others are idle."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ServingConfig":
        """Raises Misconfigured with the variable to set."""
        return cls(
            bind=environ.get(BIND) or cls.bind,
            workers=_number(environ, WORKERS, cls.workers, int),
            threads=_number(environ, THREADS, cls.threads, int),
            timeout_s=_number(environ, "SHOPLENS_TIMEOUT_S", cls.timeout_s, int),
            graceful_timeout_s=_number(environ, "SHOPLENS_GRACEFUL_TIMEOUT_S", cls.graceful_timeout_s, int),
            requests_per_worker=_number(environ, "SHOPLENS_REQUESTS_PER_WORKER", cls.requests_per_worker, int),
            pin_workers=_switch(environ, PIN_WORKERS),
        )


def _required(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise Misconfigured(f"{name} is not set: give it {meaning}")
    return value


def _switch(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip()
    if text not in ("", "0", "1"):
        raise Misconfigured(f"{name} is {text!r}: give it 1 or 0")
    return text == "1"


def _number(
    environ: Mapping[str, str], name: str, default: Number, parse: Callable[[str], Number], *, may_be_0: bool = False
) -> Number:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = parse(text)
    except ValueError:
        raise Misconfigured(f"{name} is {text!r}: give it a number, such as {default}") from None
    if not (0 < value < float("inf") or (may_be_0 and value == 0)):
        least = "0 or above" if may_be_0 else "above 0"
        raise Misconfigured(f"{name} is {text!r}: give it a number {least}, such as {default}")
    return value
