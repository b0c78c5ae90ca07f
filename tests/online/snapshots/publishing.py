"""What tests of snapshots publish beside the tiny shop, how they spoil it, and what shoppers then find."""

from flask.testing import FlaskClient

from retrieval.store.objects import FolderStore
from tests.online.tiny_shop import COLOURS, Item

CAR = Item("car-white", COLOURS["white"])


def best_product(client: FlaskClient, words: str) -> str:
    return str(client.post("/search", json={"text": words}).get_json()["results"][0]["product_id"])


def damage(store: FolderStore, key: str) -> None:
    """Change one byte in the middle; the size stays."""
    path = store.root / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
