"""The searcher over the tiny shop, for gunicorn. Words that start with "wait" wait for a file, so that tests can hold a request."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from online.app import create_app
from online.config import SearcherConfig
from online.telemetry.logs import configure_logging
from online.worker import config_of_master
from retrieval.encoders.contract import Vectors
from tests.online.tiny_shop import MeanColourEncoder

_held = Path(os.environ["TINY_HELD"])


class PatientEncoder(MeanColourEncoder):
    """Says that a request has come by making `began`, and answers it once there is `go`."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        if texts[0].startswith("wait"):
            (_held / "began").touch()
            while not (_held / "go").exists():
                time.sleep(0.01)
        return super().encode_texts(texts)


configure_logging()
app = create_app(config_of_master() or SearcherConfig.from_env(os.environ), lambda folder: PatientEncoder())
