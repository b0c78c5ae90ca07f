"""Starting a DAG run through Airflow's REST API (version 2), where a deployment has Airflow."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.parse import urlsplit

from schemas.errors import Misconfigured, TryAgain

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class AirflowAccess:
    """Where Airflow is, and who asks: a token, or a user and password to get one with."""

    url: str
    token: str | None = None
    user: str | None = None
    password: str | None = None

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "AirflowAccess | None":
        """From SHOPLENS_AIRFLOW_URL, …_TOKEN, …_USER and …_PASSWORD; None where no URL is set. Raises Misconfigured."""
        url = environment.get("SHOPLENS_AIRFLOW_URL", "").strip().rstrip("/")
        if not url:
            return None
        if not _is_web_address(url):
            raise Misconfigured(f"SHOPLENS_AIRFLOW_URL {url} is no address: write it as http://host:8080")
        token, user, password = (environment.get(f"SHOPLENS_AIRFLOW_{name}") for name in ("TOKEN", "USER", "PASSWORD"))
        return cls(url, token and token.strip(), user, password)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def trigger_dag_run(access: AirflowAccess, dag_id: str, conf: Mapping[str, Any], logical_date: datetime) -> str:
    """Start a run and return its id. Raises Misconfigured where Airflow refuses, TryAgain where it does not answer."""
    token = access.token or _new_token(access)
    body = {"logical_date": logical_date.isoformat(), "conf": dict(conf)}
    answer = _post(f"{access.url}/api/v2/dags/{dag_id}/dagRuns", body, token)
    return str(answer["dag_run_id"])


def _new_token(access: AirflowAccess) -> str:
    if not access.user or not access.password:
        raise Misconfigured("set SHOPLENS_AIRFLOW_TOKEN, or SHOPLENS_AIRFLOW_USER and SHOPLENS_AIRFLOW_PASSWORD")
    answer = _post(f"{access.url}/auth/token", {"username": access.user, "password": access.password})
    return str(answer["access_token"])


def _post(url: str, body: Mapping[str, Any], token: str | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            answer = json.loads(response.read())
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(2000).decode("utf-8", "replace").split())[:300]
        if error.code in (409, 429) or error.code >= 500:
            raise TryAgain(f"Airflow answered {error.code} to {url}: {said}") from None
        raise Misconfigured(f"Airflow refused {url} with {error.code}: {said}") from None
    except InvalidURL as error:
        raise Misconfigured(f"{url} is no address ({error}): check SHOPLENS_AIRFLOW_URL") from None
    except (OSError, ValueError, HTTPException) as error:
        raise TryAgain(f"Airflow did not answer at {url}: {error}; check SHOPLENS_AIRFLOW_URL") from None
    if not isinstance(answer, dict):
        raise Misconfigured(f"{url} is not Airflow's API: check SHOPLENS_AIRFLOW_URL")
    return answer
