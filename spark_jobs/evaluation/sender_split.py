"""Which senders a model has seen: a rule, not a list, so that anyone can tell for any catalog.

A sender (or shop, or photographer) belongs to one of five parts, by the SHA-256 of its id. Photos of one sender look
alike (one room, one camera), so a split by photo would measure memory.
"""

import hashlib

PARTS = 5
VALIDATION_PART = 1
UNSEEN_PART = 4
RULE = "first 8 hexadecimal digits of the SHA-256 of the sender's id, modulo 5: 4 is never trained on, 1 chose settings"


def part_of(sender: str) -> int:
    """0–4, the same on every machine."""
    return int(hashlib.sha256(sender.encode("utf-8")).hexdigest()[:8], 16) % PARTS


def is_unseen(sender: str) -> bool:
    """Whether the packaged model was trained, and its settings chosen, without this sender's photos."""
    return part_of(sender) == UNSEEN_PART
