"""Workers killed with -9 under load: whoever asks again is answered."""

from pathlib import Path

import pytest

from tests.faults.conftest import repetitions
from tests.faults.online.changing_shop import ChangingShop
from tests.faults.online.shoppers import Shoppers
from tests.online.running import run_gunicorn, wait_until

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

WORKERS = 2


def test_after_a_killed_worker_every_request_is_answered_after_at_most_one_retry(
    folder_shop: ChangingShop, tmp_path: Path
) -> None:
    with run_gunicorn(folder_shop.store, tmp_path) as running, Shoppers(running, tries=2) as shoppers:
        for number in range(repetitions(3, 20)):
            victim = running.workers()[number % WORKERS]
            victim.kill()
            shoppers.wait_for_answers(10)
            wait_until(lambda: len(running.workers()) == WORKERS and victim not in running.workers(), "it is replaced")  # noqa: B023
            shoppers.wait_for_answers(10)
    assert shoppers.failures == []
    assert set(shoppers.generations) == {1}
