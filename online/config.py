"""Every setting of the searcher, read from the environment once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from online.access import cross_origin, image_links
from online.access.cross_origin import CrossOrigin
from online.access.image_links import ImageLinks
from online.access.keys import KEYS, KEYS_FILE, ApiKey, read_keys
from online.access.limit_settings import RATE_LIMIT, REDIS_URL, LimitSettings
from online.settings import addresses, choice, number, required, secret, switch
from online.telemetry.tracing import asks_for_traces
from retrieval.store.objects import refuse_other_uris
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
BODY_MAX_BYTES = "SHOPLENS_BODY_MAX_BYTES"
POLL_INTERVAL_S = "SHOPLENS_POLL_INTERVAL_S"
FIRST_LOOK_WAIT_S = "SHOPLENS_FIRST_LOOK_WAIT_S"
ENCODER_THREADS = "SHOPLENS_ENCODER_THREADS"
ENCODER_PRECISION = "SHOPLENS_ENCODER_PRECISION"
BUILDS_KEPT = "SHOPLENS_BUILDS_KEPT"
SPOOL_FILE_MAX_BYTES = "SHOPLENS_SPOOL_FILE_MAX_BYTES"
SPOOL_FILE_MAX_AGE_S = "SHOPLENS_SPOOL_FILE_MAX_AGE_S"
TRUSTED_PROXIES = "SHOPLENS_TRUSTED_PROXIES"
TIMEOUT_S = "SHOPLENS_TIMEOUT_S"
GRACEFUL_TIMEOUT_S = "SHOPLENS_GRACEFUL_TIMEOUT_S"
REQUESTS_PER_WORKER = "SHOPLENS_REQUESTS_PER_WORKER"

SETTINGS = frozenset(
    {STORE, CACHE, SPOOL, USER_HASH_KEY, CURSOR_KEY, SHARED_FOLDER, BIND, WORKERS, THREADS, PIN_WORKERS}
    | {BODY_MAX_BYTES, POLL_INTERVAL_S, FIRST_LOOK_WAIT_S, ENCODER_THREADS, ENCODER_PRECISION, BUILDS_KEPT}
    | {SPOOL_FILE_MAX_BYTES, SPOOL_FILE_MAX_AGE_S, TRUSTED_PROXIES, TIMEOUT_S, GRACEFUL_TIMEOUT_S}
    | {REQUESTS_PER_WORKER, KEYS, KEYS_FILE, RATE_LIMIT, REDIS_URL}
    | {cross_origin.ORIGINS, cross_origin.CREDENTIALS, image_links.ORIGINS}
)

PRECISIONS = ("auto", "fp32", "int8")
"""What ONNX Runtime's encoder is told; named here, as importing it takes what a master need not have."""

MIB = 1 << 20
DAY_S = 86_400
PROCESSES_MAX = 128
PROXIES_MAX = 100
SIZE_MAX = 1 << 40
COUNT_MAX = 1_000_000_000


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
        cache = Path(required(environ, CACHE, "a folder for downloaded builds"))
        return cls(
            store_uri=_store_uri(environ),
            cache_folder=cache,
            spool_folder=Path(environ.get(SPOOL) or cache / "spool"),
            api_keys=read_keys(environ),
            user_hash_key=secret(environ, USER_HASH_KEY),
            cursor_key=secret(environ, CURSOR_KEY),
            body_max_bytes=number(environ, BODY_MAX_BYTES, cls.body_max_bytes, int, SIZE_MAX),
            threads=number(environ, THREADS, cls.threads, int, PROCESSES_MAX),
            poll_interval_s=number(environ, POLL_INTERVAL_S, cls.poll_interval_s, float, DAY_S),
            first_look_wait_s=number(environ, FIRST_LOOK_WAIT_S, cls.first_look_wait_s, float, DAY_S),
            encoder_threads=number(environ, ENCODER_THREADS, cls.encoder_threads, int, PROCESSES_MAX),
            encoder_precision=choice(environ, ENCODER_PRECISION, cls.encoder_precision, PRECISIONS),
            builds_kept=number(environ, BUILDS_KEPT, cls.builds_kept, int, COUNT_MAX),
            spool_file_max_bytes=number(environ, SPOOL_FILE_MAX_BYTES, cls.spool_file_max_bytes, int, SIZE_MAX),
            spool_file_max_age_s=number(environ, SPOOL_FILE_MAX_AGE_S, cls.spool_file_max_age_s, float, DAY_S),
            metrics_folder=Path(environ[METRICS_FOLDER]) if environ.get(METRICS_FOLDER) else None,
            shared_folder=Path(environ[SHARED_FOLDER]) if environ.get(SHARED_FOLDER) else None,
            trusted_proxies=number(environ, TRUSTED_PROXIES, cls.trusted_proxies, int, PROXIES_MAX, may_be_0=True),
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
            bind=addresses(environ, BIND, cls.bind),
            workers=number(environ, WORKERS, cls.workers, int, PROCESSES_MAX),
            threads=number(environ, THREADS, cls.threads, int, PROCESSES_MAX),
            timeout_s=number(environ, TIMEOUT_S, cls.timeout_s, int, DAY_S),
            graceful_timeout_s=number(environ, GRACEFUL_TIMEOUT_S, cls.graceful_timeout_s, int, DAY_S),
            requests_per_worker=number(environ, REQUESTS_PER_WORKER, cls.requests_per_worker, int, COUNT_MAX),
            pin_workers=switch(environ, PIN_WORKERS),
        )


def _store_uri(environ: Mapping[str, str]) -> str:
    uri = required(environ, STORE, "s3://bucket/prefix or a folder")
    try:
        refuse_other_uris(uri)
    except Misconfigured as error:
        raise Misconfigured(f"{STORE}: {error}") from None
    return uri
