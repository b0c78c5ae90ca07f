"""A searcher over a changing shop in a real S3 server, which the tests reach past all trouble."""

from pathlib import Path

import boto3
import pytest

from online.config import SearcherConfig
from online.telemetry.logs import configure_logging
from retrieval.store.s3 import S3Store
from tests.faults.online.changing_shop import ChangingShop
from tests.servers import S3Server


@pytest.fixture(autouse=True)
def _logs() -> None:
    configure_logging()


@pytest.fixture
def shop(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> ChangingShop:
    """At generation 1."""
    straight = boto3.client("s3", endpoint_url=s3_server.endpoint)
    shop = ChangingShop(S3Store(s3_bucket, "shop", straight), tmp_path / "scratch")
    shop.publish(1)
    return shop


@pytest.fixture
def folder_shop(tmp_path: Path) -> ChangingShop:
    """The same in a folder."""
    return ChangingShop.in_folder(tmp_path)


def searcher_config(store_uri: str, folder: Path) -> SearcherConfig:
    return SearcherConfig(store_uri=store_uri, cache_folder=folder / "cache", spool_folder=folder / "spool")
