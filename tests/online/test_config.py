"""Settings: read once, refused by name."""

import re
from pathlib import Path

import pytest

from online.config import PRECISIONS, SETTINGS, SearcherConfig, ServingConfig
from online.settings import refuse_misspelt
from retrieval.encoders import onnx
from schemas.errors import Misconfigured
from tests.online.running import ROOT

ENOUGH = {"SHOPLENS_STORE": "s3://shop/index", "SHOPLENS_CACHE": "cache"}


def test_a_store_and_a_cache_are_enough() -> None:
    config = SearcherConfig.from_env(ENOUGH)
    assert (config.store_uri, config.spool_folder) == ("s3://shop/index", Path("cache/spool"))
    assert config.user_hash_key is None


@pytest.mark.parametrize("name", sorted(ENOUGH))
def test_a_setting_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(Misconfigured, match=f"{name} is not set"):
        SearcherConfig.from_env({key: value for key, value in ENOUGH.items() if key != name})


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf", "1e300", "9" * 40, "9" * 5_000])
def test_a_number_that_is_none_is_named(text: str) -> None:
    with pytest.raises(Misconfigured, match="SHOPLENS_POLL_INTERVAL_S"):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_POLL_INTERVAL_S": text})
    with pytest.raises(Misconfigured, match="SHOPLENS_WORKERS"):
        ServingConfig.from_env({"SHOPLENS_WORKERS": text})


def test_no_proxy_can_be_said_in_so_many_words() -> None:
    assert SearcherConfig.from_env({**ENOUGH, "SHOPLENS_TRUSTED_PROXIES": "0"}).trusted_proxies == 0
    with pytest.raises(Misconfigured, match="SHOPLENS_TRUSTED_PROXIES is '-1': give it a number from 0, at most 100"):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_TRUSTED_PROXIES": "-1"})


def test_it_listens_to_this_machine_only_unless_told_otherwise() -> None:
    assert ServingConfig.from_env({}).bind.startswith("127.0.0.1:")


def test_a_switch_is_on_off_or_refused_by_name() -> None:
    found = [ServingConfig.from_env({"SHOPLENS_PIN_WORKERS": text}).pin_workers for text in ("", "0", "1")]
    assert found == [False, False, True]
    with pytest.raises(Misconfigured, match="SHOPLENS_PIN_WORKERS is 'yes': give it 1 or 0"):
        ServingConfig.from_env({"SHOPLENS_PIN_WORKERS": "yes"})


def test_times_that_no_clock_can_wait_for_are_refused() -> None:
    """A watcher's thread would end with them, and old products be served for ever."""
    with pytest.raises(
        Misconfigured, match="SHOPLENS_POLL_INTERVAL_S is '1e10': give it a number above 0, at most 86400"
    ):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_POLL_INTERVAL_S": "1e10"})


def test_a_precision_is_one_that_the_encoder_knows() -> None:
    assert set(PRECISIONS) == {onnx.AS_MEASURED, *onnx._IMAGE_TOWERS}
    found = [
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_ENCODER_PRECISION": text}) for text in ("", *PRECISIONS, " int8 ")
    ]
    assert [config.encoder_precision for config in found] == ["auto", *PRECISIONS, "int8"]
    with pytest.raises(Misconfigured, match="SHOPLENS_ENCODER_PRECISION is 'fp7': give it one of auto, fp32, int8"):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_ENCODER_PRECISION": "fp7"})


@pytest.mark.parametrize("uri", ["ftp://shop", "s3://", "s3://[shop"])
def test_a_store_that_is_none_is_named(uri: str) -> None:
    with pytest.raises(Misconfigured, match=r"SHOPLENS_STORE: .* is no object store"):
        SearcherConfig.from_env({**ENOUGH, "SHOPLENS_STORE": uri})


@pytest.mark.parametrize(
    "text", ["127.0.0.1:80", "shop:8080", ":80", "[::1]:0", "unix:/run/shop.sock", "fd://3", "a:1, b:2"]
)
def test_it_listens_where_gunicorn_can(text: str) -> None:
    assert ServingConfig.from_env({"SHOPLENS_BIND": text}).bind == text


@pytest.mark.parametrize("text", ["127.0.0.1", "8080", "shop:http", "shop:99999", "fd://x", "::1:80", "a:1,b"])
def test_an_address_that_is_none_is_named(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"SHOPLENS_BIND: .* is no address"):
        ServingConfig.from_env({"SHOPLENS_BIND": text})


def test_a_secret_may_be_any_bytes() -> None:
    """The environment of a process is bytes; what is no UTF-8 comes with surrogates."""
    assert SearcherConfig.from_env({**ENOUGH, "SHOPLENS_CURSOR_KEY": 20 * "k\udcff"}).cursor_key == 20 * b"k\xff"


@pytest.mark.parametrize("name", ["SHOPLENS_CURSOR_KEY", "SHOPLENS_USER_HASH_KEY"])
def test_a_secret_that_is_soon_guessed_is_refused_without_being_shown(name: str) -> None:
    with pytest.raises(Misconfigured, match=rf"{name} has 7 bytes") as refused:
        SearcherConfig.from_env({**ENOUGH, name: "letmein"})
    assert "letmein" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SHOPLENS_API_KEY_FILE", "SHOPLENS_API_KEYS_FILE"), ("SHOPLENS_WORKER", "SHOPLENS_WORKERS"),
        ("SHOPLENS_POLL_INTERVALL_S", "SHOPLENS_POLL_INTERVAL_S"),
    ],
)  # fmt: skip
def test_a_setting_of_almost_the_right_name_is_refused_with_the_right_one(name: str, meant: str) -> None:
    with pytest.raises(Misconfigured, match=f"{name} is no setting: {meant} may be meant"):
        refuse_misspelt({**ENOUGH, name: "1"}, SETTINGS)


def test_names_of_other_programs_and_of_the_pipeline_are_let_be() -> None:
    others = re.findall(r"SHOPLENS_[A-Z_]+[A-Z]", "".join(path.read_text() for path in sources("*")))
    assert len(set(others)) > len(SETTINGS)
    refuse_misspelt(dict.fromkeys([*others, "SHOPLENS_SERVICE_HOST", "PATH"], "1"), SETTINGS)


def test_every_setting_that_the_searcher_reads_is_among_its_settings_and_in_the_handbook() -> None:
    read = re.findall(r'"(SHOPLENS_[A-Z_]+[A-Z])"', "".join(path.read_text() for path in sources("online")))
    assert set(read) == SETTINGS
    handbook = (ROOT / "docs/operations.md").read_text()
    assert sorted(name for name in SETTINGS if name not in handbook) == ["SHOPLENS_SHARED_FOLDER"]  # its own affair


def sources(package: str) -> list[Path]:
    packages = ("schemas", "retrieval", "spark_jobs", "dags", "demo", "online") if package == "*" else (package,)
    return [path for name in packages for path in (ROOT / name).rglob("*.py")]
