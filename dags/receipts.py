"""What a job left for whoever comes after it: its receipt, read from the object store when a task runs."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.deployment import Deployment
from schemas.errors import ShopLensError
from schemas.receipts import Receipt, receipt_key


def read_receipt(deployment: Deployment, dag: str, interval_key: str, job: str) -> Receipt:
    """Raises AirflowException where there is none, AirflowFailException where it is none of ours."""
    key = receipt_key(dag, interval_key, job)
    parts = urlsplit(deployment.store)
    if parts.scheme in ("s3", "s3a"):
        data = _read_object(deployment, parts.netloc, f"{parts.path.strip('/')}/{key}".lstrip("/"))
    else:
        path = Path(parts.path if parts.scheme == "file" else deployment.store) / key
        data = path.read_bytes() if path.exists() else None
    if data is None:
        raise AirflowException(f"no receipt {key} in {deployment.store}: the job before this one did not finish")
    try:
        return Receipt.from_json(data, key)
    except ShopLensError as error:
        raise AirflowFailException(f"{error}: run {job} for this interval again") from error


def _read_object(deployment: Deployment, bucket: str, key: str) -> bytes | None:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # boto3: not when the DAG is parsed

    place: dict[str, Any] = {}
    if deployment.emr:
        place = {"aws_conn_id": deployment.emr.connection, "region_name": deployment.emr.region}
    objects: Any = S3Hook(**place).get_conn()
    try:
        return bytes(objects.get_object(Bucket=bucket, Key=key)["Body"].read())
    except objects.exceptions.NoSuchKey:
        return None
