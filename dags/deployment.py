"""Where one shop's deployment reads, writes and computes: the Airflow Variable `shoplens`, one JSON object.

It is read when a task runs, never when the file is parsed, so it can come from the metadata database, from a secrets
backend, or from the environment (AIRFLOW_VAR_SHOPLENS).

    {
      "lake": "s3://shop/lake",              the Delta tables
      "store": "s3://shop/store",            builds, models, receipts, CURRENT
      "catalog": "s3://shop/exports",        folder of the catalog; where each night has its own, so that a backfill
                                             reads that night's: "s3://shop/exports/{end:%Y-%m-%d}" (or {start})
      "changes": "s3://shop/changes/{end:%Y-%m-%dT%H}",     what changed in an hour, for catalog_hourly (default: catalog)
      "mapping": "shop.toml",                its mapping file, as the job sees it
      "model": "models/default-1a2b",        bundle folder, or a model id in the store
      "submit": "local",                     local: a process on the worker; emr: a step on a cluster
      "arguments": {"fetch_images": ["--per-host-at-once", "8"]},    more of them, by job
      "environment": {"OMP_NUM_THREADS": "2"},                       for the job's process

      "python": "/opt/shoplens/bin/python",  submit local: the pipeline environment's interpreter
      "project": "/opt/shoplens",            submit local: where jobs start (default: as the worker)

      "emr": {                               submit emr
        "cluster_id": "j-1ABC",              or "cluster_name" of one that runs
        "code": "s3://shop/code/1.0",        holds spark_jobs/NAME.py and environment.tar.gz
        "files": ["s3://shop/shop.toml"],    laid beside the job, such as the mapping file
        "conf": {"spark.executor.memory": "8g"},
        "connection": "aws_default", "region": "eu-central-1", "role": null, "poll_seconds": 30
      }
    }
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from schemas.errors import Misconfigured

VARIABLE = "shoplens"


@dataclass(frozen=True)
class EmrCluster:
    """A running cluster that takes steps, and where its steps find the code."""

    code: str
    cluster_id: str | None = None
    cluster_name: str | None = None
    files: tuple[str, ...] = ()
    conf: dict[str, str] = field(default_factory=dict)
    connection: str = "aws_default"
    region: str | None = None
    role: str | None = None
    poll_seconds: int = 30


@dataclass(frozen=True)
class Deployment:
    """One shop's settings, as the module's text describes them."""

    lake: str
    store: str
    catalog: str
    mapping: str
    model: str
    changes: str | None = None
    submit: Literal["local", "emr"] = "local"
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    python: str | None = None
    project: str | None = None
    emr: EmrCluster | None = None


def parse_deployment(document: Any) -> Deployment:
    """Check the Variable's JSON. Raises Misconfigured, naming the key and what to write."""
    given = _known(document, Deployment, "")
    if given.get("submit", "local") not in ("local", "emr"):
        raise Misconfigured(f"submit in Airflow Variable {VARIABLE} is {given['submit']!r}: write local or emr")
    if "emr" in given:
        given["emr"] = _parse_emr(given["emr"])
    needed = "emr" if given.get("submit") == "emr" else "python"
    if not given.get(needed):
        raise Misconfigured(f"{needed} is missing in Airflow Variable {VARIABLE}: see dags/deployment.py")
    given["arguments"] = {job: tuple(map(str, more)) for job, more in given.get("arguments", {}).items()}
    return Deployment(**given)


def _parse_emr(document: Any) -> EmrCluster:
    given = _known(document, EmrCluster, "emr.")
    if bool(given.get("cluster_id")) == bool(given.get("cluster_name")):
        raise Misconfigured(f"emr in Airflow Variable {VARIABLE} needs exactly one of cluster_id and cluster_name")
    given["files"] = tuple(given.get("files", ()))
    return EmrCluster(**given)


def _known(document: Any, part: type[Any], prefix: str) -> dict[str, Any]:
    """The object's keys, none missing and none unknown."""
    if not isinstance(document, dict):
        raise Misconfigured(f"{prefix.rstrip('.') or 'the whole'} of Airflow Variable {VARIABLE} must be a JSON object")
    names = {item.name for item in fields(part)}
    if unknown := sorted(set(document) - names):
        raise Misconfigured(f"{prefix}{unknown[0]} in Airflow Variable {VARIABLE} is unknown: see dags/deployment.py")
    required = ("code",) if part is EmrCluster else ("lake", "store", "catalog", "mapping", "model")
    for name in required:
        if not document.get(name):
            raise Misconfigured(f"{prefix}{name} is missing in Airflow Variable {VARIABLE}: see dags/deployment.py")
    return dict(document)
