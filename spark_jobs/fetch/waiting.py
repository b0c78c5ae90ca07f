"""How long to wait: what a server asks for, and what we choose ourselves."""

import hashlib
from email.utils import parsedate_to_datetime


def retry_after_seconds(header: str | None, date_header: str | None) -> float | None:
    """Seconds that a server asks for (RFC 9110, section 10.2.3), as a number or a date; None where it says nothing usable.

    A date is read against the server's own `Date`, so that neither clock matters.
    """
    if not header:
        return None
    text = header.strip()
    if text.isdecimal():
        return float(min(int(text[:12]), 10**9))
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(date_header or "")
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def share_of_hash(text: str, salt: str = "") -> float:
    """A number in [0, 1) that is always the same for a text: jitter that can be repeated."""
    digest = hashlib.sha256(f"{salt}|{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def backoff_seconds(url: str, tries_made: int, base_s: float) -> float:
    """Before the next try within a run: base · 2ⁿ⁻¹, and up to half as much again."""
    return float(base_s * 2 ** (tries_made - 1) * (1.0 + 0.5 * share_of_hash(url, f"try {tries_made}")))
