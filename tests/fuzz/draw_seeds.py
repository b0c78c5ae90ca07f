"""Draw the seeds that fuzzing starts from: `python -m tests.fuzz.draw_seeds FOLDER`. Small photos and questions of every
kind.

What atheris found is among the seeds too, under the name of what was wrong; those files are not drawn here.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def waves(mode: str = "RGB", side_px: int = 24) -> Image.Image:
    x, y = np.meshgrid(np.arange(side_px), np.arange(side_px))
    levels = 128 + 100 * np.stack([np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 9)], axis=2)
    return Image.fromarray(levels.astype(np.uint8), "RGB").convert(mode)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, file_format, **options)
    return sink.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def draw_photos() -> dict[str, bytes]:
    """By file name."""
    see_through = waves("RGBA")
    see_through.putalpha(waves("L"))
    sixteen = Image.fromarray(np.arange(24 * 24, dtype=np.uint16).reshape(24, 24) * 113)
    second = waves().transpose(Image.Transpose.ROTATE_90)
    jpeg = encoded(waves(), "JPEG")
    return {
        "plain.jpg": jpeg,
        "grey.jpg": encoded(waves("L"), "JPEG"),
        "cmyk.jpg": encoded(waves("CMYK"), "JPEG"),
        "progressive.jpg": encoded(waves(), "JPEG", progressive=True),
        "wide.jpg": encoded(waves(side_px=160), "JPEG", quality=20),
        "turned.jpg": encoded(waves().resize((24, 12)), "JPEG", exif=orientation(6)),
        "restarts.jpg": encoded(waves(), "JPEG", restart_marker_blocks=1, comment=b"comment"),
        "more_after_the_end.jpg": jpeg + b"PK\x03\x04 and more",
        "cut_short.jpg": jpeg[: len(jpeg) * 2 // 3],
        "plain.png": encoded(waves(), "PNG"),
        "palette.png": encoded(waves("P"), "PNG", transparency=3),
        "bits.png": encoded(waves("1"), "PNG"),
        "see_through.png": encoded(see_through, "PNG"),
        "sixteen_bits.png": encoded(sixteen, "PNG"),
        "turned.png": encoded(waves(), "PNG", exif=orientation(8)),
        "animated.png": encoded(waves(), "PNG", save_all=True, append_images=[second]),
        "plain.webp": encoded(waves(), "WEBP"),
        "see_through.webp": encoded(see_through, "WEBP", lossless=True),
        "animated.webp": encoded(waves(), "WEBP", save_all=True, append_images=[second], exif=orientation(3)),
        "other.gif": encoded(waves("P"), "GIF"),
        "words.txt": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }


def draw_questions() -> dict[str, bytes]:
    """By file name; the first line is the path and the type of the body."""
    photo = draw_photos()["plain.webp"]
    text = base64.b64encode(photo).decode()
    asked: dict[str, Any] = {
        "words.json": {"text": "red shirt", "negative_text": "blue", "k": 5, "min_score": 0.1, "diversity": 0.5},
        "photo.json": {"image_base64": text, "bbox": "2,2,20,20", "text": "red", "image_weight": 0.3, "explain": True},
        "photos.json": {"image_base64": [text, text], "image_weights": [1, 0.5], "negative_image_base64": text},
        "like.json": {"product_id": "shirt-red", "liked": ["sock-green"], "disliked": ["coat-black"], "user_id": "ann"},
        "filters.json": {
            "text": "red",
            "filters": {
                "category": {"in": ["hats"]}, "brand": {"equals": "Nord"}, "colour": {"not": {"in": ["red"]}},
                "price": {"min": 1, "max": 50, "currency": "EUR"}, "in_stock": True,
                "attributes": {"material": {"equals": "wool"}, "size": {"min": 1.5}},
            },
            "facets": ["category", "price", "attributes.material", "in_stock"],
            "rank": {"visual": 1, "price": 0.5},
        },
        "cursor.json": {"cursor": "abc.def.ghi", "k": 2},
    }  # fmt: skip
    clicked = {"request_id": "r1", "product_id": "shirt-red", "position": 0, "action": "cart", "user_id": "ann"}
    form = b"".join(
        b"--x\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n" % part
        for part in (
            (b'"image"; filename="p.webp"', photo), (b'"bbox"', b"1,1,9,9"), (b'"k"', b"3"), (b'"liked"', b"hat-yellow"),
            (b'"filters"', b'{"in_stock": true}'), (b'"facets"', b"brand"),
        )
    )  # fmt: skip
    return {
        **{name: b"/search application/json\n" + json.dumps(fields).encode() for name, fields in asked.items()},
        "click.json": b"/click application/json\n" + json.dumps(clicked).encode(),
        "question.form": b"/search multipart/form-data; boundary=x\n" + form + b"--x--\r\n",
        "fields.form": b"/search application/x-www-form-urlencoded\ntext=red&k=2&facets=brand&facets=price&explain=true",
    }


def main(folder: Path) -> None:
    for kind, seeds in (("photos", draw_photos()), ("questions", draw_questions())):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / kind / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
