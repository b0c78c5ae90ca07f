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
      "environment": {"OMP_NUM_THREADS": "2"},                       for the job's process; the worker itself, which reads
                                             receipts in the store, has its own

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
JOBS = (
    "ingest_catalog", "fetch_images", "embed_images", "build_index", "evaluate_index", "publish",
    "apply_changes", "build_delta", "evaluate_delta", "publish_deltas", "maintain",
)  # fmt: skip
"""What `arguments` may name."""


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
    if given.get("emr") is not None:
        given["emr"] = _parse_emr(given["emr"])
    needed = "emr" if given.get("submit") == "emr" else "python"
    if not given.get(needed):
        raise Misconfigured(f"{needed} is missing in Airflow Variable {VARIABLE}: see dags/deployment.py")
    given["arguments"] = _parse_arguments(given.get("arguments") or {})
    given["environment"] = _texts(given.get("environment") or {}, "environment")
    return Deployment(**given)


def _parse_arguments(document: Any) -> dict[str, tuple[str, ...]]:
    """Words by job. A string would be taken apart into letters, and what is meant for no job would say nothing."""
    if not isinstance(document, dict) or not all(isinstance(words, list) for words in document.values()):
        raise Misconfigured(f'arguments in Airflow Variable {VARIABLE} must read {{"job": ["--option", "value"]}}')
    if unknown := sorted(set(document) - set(JOBS)):
        raise Misconfigured(
            f"arguments.{unknown[0]} in Airflow Variable {VARIABLE} is no job: name one of {', '.join(JOBS)}"
        )
    return {job: tuple(map(str, words)) for job, words in document.items()}


def _texts(document: Any, name: str) -> dict[str, str]:
    """Numbers as the text that they are in an environment, or on a command line."""
    if not isinstance(document, dict) or any(isinstance(value, dict | list | None) for value in document.values()):
        raise Misconfigured(f"{name} in Airflow Variable {VARIABLE} must be a JSON object of texts")
    return {key: str(value) for key, value in document.items()}


def _parse_emr(document: Any) -> EmrCluster:
    given = _known(document, EmrCluster, "emr.")
    if bool(given.get("cluster_id")) == bool(given.get("cluster_name")):
        raise Misconfigured(f"emr in Airflow Variable {VARIABLE} needs exactly one of cluster_id and cluster_name")
    files, poll_seconds = given.get("files") or [], given.get("poll_seconds", EmrCluster.poll_seconds)
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise Misconfigured(f"emr.files in Airflow Variable {VARIABLE} must be a list of places")
    if type(poll_seconds) is not int or poll_seconds < 1:
        raise Misconfigured(f"emr.poll_seconds in Airflow Variable {VARIABLE} must be a whole number from 1 on")
    given["files"], given["conf"] = tuple(files), _texts(given.get("conf") or {}, "emr.conf")
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
    for item in fields(part):
        if item.type in (str, str | None) and not isinstance(document.get(item.name), str | None):
            raise Misconfigured(f"{prefix}{item.name} in Airflow Variable {VARIABLE} must be a text")
    return dict(document)
