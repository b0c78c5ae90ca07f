"""A shop whose every build shows another white car, so that an answer tells whether generation and rows belong together."""

from pathlib import Path

from retrieval.store.objects import FolderStore, ObjectStore
from tests.online.tiny_shop import COLOURS, SHOP, Item, point_at, put_build, put_model


class ChangingShop:
    """Build b<n> has the product car-<n>, and no other build has it."""

    def __init__(self, store: ObjectStore, scratch: Path) -> None:
        self.store, self._scratch = store, scratch
        put_model(store)

    @classmethod
    def in_folder(cls, folder: Path) -> "ChangingShop":
        """At generation 1."""
        shop = cls(FolderStore(folder / "store"), folder / "scratch")
        shop.publish(1)
        return shop

    def build(self, number: int) -> str:
        """Put build b<number> into the store; its id."""
        items = [*SHOP, Item(f"car-{number}", COLOURS["white"])]
        return put_build(self.store, self._scratch, items, build_id=f"b{number}", thumbnails=False).build_id

    def publish(self, number: int) -> None:
        """Put build b<number> into the store and make it generation <number>."""
        point_at(self.store, self.build(number), number)


def generation_of(answer: dict) -> int:
    """The generation that answered a search for "white", and that it answered with its own rows."""
    generation = int(answer["generation"])
    assert answer["results"][0]["product_id"] == f"car-{generation}"
    assert answer["build_id"] == f"b{generation}"
    return generation
