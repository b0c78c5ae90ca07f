from pathlib import Path

import pytest

from dags.deployment import JOBS, parse_deployment
from schemas.errors import Misconfigured

LOCAL = {
    "lake": "/lake",
    "store": "/store",
    "catalog": "/exports",
    "mapping": "shop.toml",
    "model": "m",
    "python": "py",
}
EMR = {**LOCAL, "submit": "emr", "emr": {"cluster_id": "j-1", "code": "s3://code"}}


def test_jobs_run_on_the_worker_unless_told_otherwise() -> None:
    deployment = parse_deployment({**LOCAL, "arguments": {"fetch_images": ["--per-host-at-once", 8]}})
    assert deployment.submit == "local"
    assert deployment.arguments == {"fetch_images": ("--per-host-at-once", "8")}


def test_a_cluster_is_known_by_id_or_by_name() -> None:
    assert parse_deployment(EMR).emr is not None
    by_name = {**EMR, "emr": {"cluster_name": "nightly", "code": "s3://code", "files": ["s3://shop.toml"]}}
    cluster = parse_deployment(by_name).emr
    assert cluster is not None
    assert (cluster.cluster_name, cluster.files) == ("nightly", ("s3://shop.toml",))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("lake", "must be a JSON object"),
        ({**LOCAL, "lake": ""}, "lake is missing"),
        ({**LOCAL, "lakes": "/x"}, "lakes in Airflow Variable shoplens is unknown"),
        ({**LOCAL, "submit": "yarn"}, "write local or emr"),
        ({**LOCAL, "python": None}, "python is missing"),
        ({**LOCAL, "submit": "emr"}, "emr is missing"),
        ({**EMR, "emr": {"cluster_id": "j-1"}}, "emr.code is missing"),
        ({**EMR, "emr": {"code": "s3://code"}}, "exactly one of cluster_id and cluster_name"),
        ({**EMR, "emr": {"code": "s3://code", "cluster_id": "j-1", "zone": "a"}}, "emr.zone"),
        ({**EMR, "emr": {**EMR["emr"], "poll_seconds": "30"}}, "emr.poll_seconds .* whole number"),  # type: ignore[dict-item]
        ({**EMR, "emr": {**EMR["emr"], "files": "s3://shop.toml"}}, "emr.files .* list"),  # type: ignore[dict-item]
        ({**LOCAL, "lake": 5}, "lake .* must be a text"),
        ({**LOCAL, "changes": ["/changes"]}, "changes .* must be a text"),
        ({**LOCAL, "arguments": ["--x"]}, "arguments .* must read"),
        ({**LOCAL, "arguments": {"fetch_images": "--per-host-at-once 8"}}, "arguments .* must read"),
        (
            {**LOCAL, "arguments": {"fetch_image": ["--x"]}},
            "arguments.fetch_image .* is no job: name one of ingest_catalog",
        ),
        ({**LOCAL, "environment": ["A=1"]}, "environment .* must be a JSON object of texts"),
        ({**LOCAL, "environment": {"A": None}}, "environment .* must be a JSON object of texts"),
    ],
)
def test_a_wrong_setting_is_named(document: object, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        parse_deployment(document)


def test_numbers_are_taken_as_the_text_that_a_process_is_given() -> None:
    assert parse_deployment({**LOCAL, "environment": {"OMP_NUM_THREADS": 2}, "emr": None}).environment == {
        "OMP_NUM_THREADS": "2"
    }


def test_arguments_may_name_every_job_and_nothing_else() -> None:
    modules = (Path(__file__).resolve().parents[2] / "spark_jobs").glob("*.py")
    assert {path.stem for path in modules} - {"__init__"} == set(JOBS)
