import pytest

from dags.deployment import parse_deployment
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
    ],
)
def test_a_wrong_setting_is_named(document: object, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        parse_deployment(document)
