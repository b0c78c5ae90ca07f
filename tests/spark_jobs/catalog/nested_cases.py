"""JSON of columns, ways into it and what they lead to: for ingest and for evaluation alike."""

import json

PRODUCT = {
    "maker": {"name": "Loom", "since": 1990, "b2b": True},
    "images": [{"src": "a.jpg"}, {"src": "b|c.jpg", "alt": "x"}, {"alt": "no source"}],
    "variants": [{"price": "12.50", "photos": ["1.jpg", "2.jpg"]}, {"price": "14.00", "photos": ["3.jpg"]}],
    "sizes": {"0": "S"},
}

CASES: list[tuple[str, str, str | None]] = [
    (json.dumps(PRODUCT["maker"]), "name", "Loom"),
    (json.dumps(PRODUCT["maker"]), "since", "1990"),
    (json.dumps(PRODUCT["maker"]), "b2b", "true"),
    (json.dumps(PRODUCT["maker"]), "Name", None),
    (json.dumps(PRODUCT["images"]), "src", '["a.jpg","b|c.jpg"]'),
    (json.dumps(PRODUCT["images"]), "alt", '["x","no source"]'),
    (json.dumps(PRODUCT["images"]), "0.src", "a.jpg"),
    (json.dumps(PRODUCT["images"]), "7.src", None),
    (json.dumps(PRODUCT["variants"]), "0.price", "12.50"),
    (json.dumps(PRODUCT["variants"]), "price", '["12.50","14.00"]'),
    (json.dumps(PRODUCT["variants"]), "photos", '["1.jpg","2.jpg","3.jpg"]'),
    (json.dumps(PRODUCT["variants"]), "photos.0", '["1.jpg","3.jpg"]'),
    (json.dumps(PRODUCT["variants"]), "1.photos", '["3.jpg"]'),
    (json.dumps(PRODUCT["sizes"]), "0", "S"),
    ('[null, {"src": null}, {"src": "a.jpg"}]', "src", "a.jpg"),
    ('{"a": {"b": {"c": "deep"}}}', "a.b.c", "deep"),
    ('["a.jpg", "b.jpg"]', "1", "b.jpg"),
    ('["a.jpg"]', "src", None),
    ('"text"', "src", None),
    ("no json", "src", None),
    ("", "src", None),
    ("[]", "src", None),
    ('{"src": ""}', "src", ""),
]
