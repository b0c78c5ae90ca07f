"""Settings: read once, refused by name."""

from pathlib import Path

import pytest

from online.config import SearcherConfig, ServingConfig
from schemas.errors import Misconfigured

ENOUGH = {"SHOPLENS_STORE": "s3://shop/index", "SHOPLENS_CACHE": "cache"}


def test_a_store_and_a_cache_are_enough() -> None:
    config = SearcherConfig.from_env(ENOUGH)
    assert (config.store_uri, config.spool_folder) == ("s3://shop/index", Path("cache/spool"))
    assert config.user_hash_key is None


@pytest.mark.parametrize("name", sorted(ENOUGH))
def test_a_setting_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=f"{name} is not set"):
        SearcherConfig.from_env({key: value for key, value in ENOUGH.items() if key != name})


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_a_number_that_is_none_is_named(text: str) -> None:
    with pytest.raises(Misconfigured, match="SHOPLENS_POLL_INTERVAL_S"):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_POLL_INTERVAL_S": text})
    with pytest.raises(Misconfigured, match="SHOPLENS_WORKERS"):
        ServingConfig.from_env({"SHOPLENS_WORKERS": text})


def test_no_proxy_can_be_said_in_so_many_words() -> None:
    assert SearcherConfig.from_env({**ENOUGH, "SHOPLENS_TRUSTED_PROXIES": "0"}).trusted_proxies == 0
    with pytest.raises(Misconfigured, match="SHOPLENS_TRUSTED_PROXIES is '-1': give it a number 0 or above"):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_TRUSTED_PROXIES": "-1"})


def test_it_listens_to_this_machine_only_unless_told_otherwise() -> None:
    assert ServingConfig.from_env({}).bind.startswith("127.0.0.1:")


def test_a_switch_is_on_off_or_refused_by_name() -> None:
    found = [ServingConfig.from_env({"SHOPLENS_PIN_WORKERS": text}).pin_workers for text in ("", "0", "1")]
    assert found == [False, False, True]
    with pytest.raises(Misconfigured, match="SHOPLENS_PIN_WORKERS is 'yes': give it 1 or 0"):
        ServingConfig.from_env({"SHOPLENS_PIN_WORKERS": "yes"})
