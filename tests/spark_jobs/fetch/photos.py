"""Photos as bytes, small and drawn from a seed."""

import io

import numpy as np
from PIL import Image


def photo(seed: int = 0, width: int = 96, height: int = 128, kind: str = "JPEG", **options: object) -> bytes:
    """A sharp photo of coloured squares; another one for each seed."""
    squares = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return encoded(Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST), kind, **options)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, kind, **options)
    return sink.getvalue()


def soft_picture(seed: int) -> Image.Image:
    """A picture of large patches under a fine, sharp weave: its perceptual hash survives another compression."""
    patches = np.random.default_rng(seed).integers(30, 226, (6, 6, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(patches).resize((400, 400), Image.Resampling.BICUBIC), dtype=np.int16)
    weave = 24 * ((np.indices((400, 400)) // 2).sum(axis=0) % 2)
    return Image.fromarray(np.clip(soft + weave[:, :, None], 0, 255).astype(np.uint8))
