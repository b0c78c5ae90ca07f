"""A shop as a plain Python value, edits that change it, and the index rows that it must give: what deltas are held to.

A shop's rows follow from its products, links and photos as the pipeline's tables would have it, written here a second
time, without Spark.
"""

import copy
import hashlib
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.items.table import conform_items

DIMENSION = 16
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
CATEGORIES = ("dress", "shoes", "bag")

EDITS = (
    "price", "stock", "group", "replace_photo", "delete", "add_again", "add", "add_link", "drop_link", "give_up",
    "reject", "accept", "delete_and_add_again", "twice",
)  # fmt: skip


@dataclass
class Shop:
    """`products` by id; `links` (product id, url) → position; `contents` by url, None where it was given up on."""

    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[tuple[str, str], int] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    made: int = 0

    @classmethod
    def of(cls, products: int) -> "Shop":
        shop = cls()
        for _ in range(products):
            shop.add_product()
        return shop

    def copy(self) -> "Shop":
        return copy.deepcopy(self)

    def add_product(self) -> None:
        self.made += 1
        product_id = f"p{self.made:04d}"
        self.products[product_id] = {
            "product_id": product_id, "group_id": product_id, "title": f"thing {self.made}", "brand": None,
            "category": CATEGORIES[self.made % 3], "colour": "red", "price": float(self.made), "currency": "EUR",
            "in_stock": True, "attributes": {"sleeve": "long"}, "created_at": CREATED, "deleted": False,
        }  # fmt: skip
        for position in range(2):
            self.add_link(product_id, position)

    def add_link(self, product_id: str, position: int) -> None:
        self.made += 1
        url = f"http://shop.example/{self.made}.jpg"
        self.links[product_id, url] = position
        self.contents[url] = content_of(url)

    def edit(self, kind: str, choose: random.Random) -> None:
        """One edit of a product, link or photo; without one that it suits nothing happens."""
        product = self.products[choose.choice(sorted(self.products))]
        links = sorted(link for link in self.links if link[0] == product["product_id"])
        urls = [url for _, url in links]
        if kind == "price":
            product["price"] += 1.0
        elif kind == "stock":
            product["in_stock"] = not product["in_stock"]
        elif kind == "group":
            product["group_id"] = choose.choice(sorted(self.products))
        elif kind in ("delete", "add_again"):
            product["deleted"] = kind == "delete"
        elif kind == "delete_and_add_again":
            product["deleted"] = True
            self.edit("price", choose)
            product["deleted"] = False
        elif kind == "twice":
            product["price"] += 1.0
            product["price"] += 1.0
        elif kind == "add":
            self.add_product()
        elif kind == "add_link":
            self.add_link(product["product_id"], len(links))
        elif not urls:
            return
        elif kind == "drop_link":
            del self.links[choose.choice(links)]
        elif kind == "replace_photo":
            self.made += 1
            self.contents[choose.choice(urls)] = content_of(str(self.made))
        elif kind == "give_up":
            self.given_up.add(choose.choice(urls))
        elif kind in ("reject", "accept"):
            content = self.contents[choose.choice(urls)]
            (self.rejected.add if kind == "reject" else self.rejected.discard)(content)

    def rows(self) -> tuple[NDArray[np.float32], pa.Table]:
        """What an index of this shop holds: unit vectors (n, 16) and the items."""
        positions: dict[tuple[str, str], int] = {}
        for (product_id, url), position in self.links.items():
            content = self.contents[url]
            if self.products[product_id]["deleted"] or url in self.given_up or content in self.rejected:
                continue
            positions[product_id, content] = min(position, positions.get((product_id, content), position))
        rows = [
            {**self.products[product_id], "image_id": content, "image_position": position}
            for (product_id, content), position in sorted(positions.items())
        ]
        columns = {name: [row[name] for row in rows] for name in rows[0] if name != "deleted"}
        columns["image_position"] = pa.array(columns["image_position"], pa.int32())
        columns["attributes"] = pa.array(
            [list(row["attributes"].items()) for row in rows], pa.map_(pa.string(), pa.string())
        )
        columns["created_at"] = pa.array(columns["created_at"], pa.timestamp("us", tz="UTC"))
        columns["brand"] = pa.nulls(len(rows), pa.string())
        return np.stack([vector_of(row["image_id"]) for row in rows]), conform_items(pa.table(columns))


def edit_at_random(shop: Shop, seed: int, edits: int) -> Shop:
    """A copy after that many edits, chosen by seed. One product at least stays alive."""
    edited, choose = shop.copy(), random.Random(seed)
    for _ in range(edits):
        edited.edit(choose.choice(EDITS), choose)
    edited.add_product()
    return edited


def content_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def vector_of(content: str) -> NDArray[np.float32]:
    """A unit vector that follows from the content alone, as a model's would."""
    drawn = np.random.default_rng(int(content[:8], 16)).standard_normal(DIMENSION)
    return np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)
