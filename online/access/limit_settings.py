"""How often one caller may ask, as the operator set it. Read before any worker starts, so it imports nothing large."""

from collections.abc import Mapping
from dataclasses import dataclass

RATE_LIMIT = "SHOPLENS_RATE_LIMIT"
REDIS_URL = "SHOPLENS_REDIS_URL"


@dataclass(frozen=True)
class LimitSettings:
    """`rate_limit` as in 20/second; 600/minute, none where it is empty. Without `redis_url` a host counts for itself."""

    rate_limit: str = ""
    redis_url: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "LimitSettings":
        return cls(environ.get(RATE_LIMIT, "").strip(), environ.get(REDIS_URL, "").strip())
