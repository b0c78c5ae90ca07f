"""What relative photo links are joined to."""

from schemas.mapping import ImageLinks
from spark_jobs.catalog.links import base_uri


def test_without_a_base_links_are_joined_to_the_catalog_folder() -> None:
    assert base_uri(ImageLinks(column="photo"), "file:///shop/") == "file:///shop/"


def test_a_base_without_a_scheme_is_a_folder_beside_the_catalog() -> None:
    assert base_uri(ImageLinks(column="photo", base="photos/"), "file:///shop/") == "file:///shop/photos/"
    assert base_uri(ImageLinks(column="photo", base="/mnt/big photos"), "file:///shop/") == "file:///mnt/big%20photos/"


def test_a_base_with_a_scheme_is_kept_and_ends_in_a_slash() -> None:
    assert base_uri(ImageLinks(column="photo", base="https://cdn.example/p"), None) == "https://cdn.example/p/"


def test_a_database_has_no_folder_to_join_to() -> None:
    assert base_uri(ImageLinks(column="photo", base="photos"), None) is None
