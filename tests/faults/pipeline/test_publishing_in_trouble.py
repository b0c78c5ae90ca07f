"""Publishing through a store of which a third of all answers is 5xx, half of them to requests that it did carry out."""

from itertools import count

import boto3
import pytest

from retrieval.publishing.publish import publish
from retrieval.store.s3 import S3Store
from schemas.errors import TryAgain
from schemas.pointer import HISTORY_LENGTH
from tests.faults.conftest import repetitions
from tests.faults.failing_gateway import FailingGateway
from tests.retrieval.publishing.publishers import current, put_build
from tests.servers import S3Server

pytestmark = pytest.mark.full

TRIES_MAX = 20


def test_each_publish_makes_one_generation_though_answers_are_lost(
    s3_server: S3Server, s3_bucket: str, gateway: FailingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    straight = S3Store(s3_bucket, "shop", boto3.client("s3", endpoint_url=s3_server.endpoint))
    troubled = S3Store(s3_bucket, "shop")
    served = [put_build(straight, name) for name in ("a", "b")]
    rounds = repetitions(30, 300)
    gateway.share = 0.33
    for day in range(rounds):
        for tries in count(1):
            assert tries <= TRIES_MAX
            try:
                made = publish(troubled, served[day % 2], f"202601{day:04d}", {"products": day}, f"nightly/{day}")
                break
            except TryAgain:
                continue  # as its scheduler does
        assert made.pointer.generation == day + 1
    assert gateway.failed > rounds
    pointer = current(straight)
    assert pointer.generation == rounds
    assert [line.publish_id for line in pointer.history] == [
        f"nightly/{day}" for day in range(rounds - 1, rounds - 1 - HISTORY_LENGTH, -1)
    ]
