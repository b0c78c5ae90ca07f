"""Print the OpenAPI document, for making clients: `python -m online.print_document > openapi.json`."""

import json
import sys
import tempfile
from pathlib import Path

from online.app import create_app
from online.config import SearcherConfig


def print_document() -> None:
    """It is made from the models, so no index is needed."""
    with tempfile.TemporaryDirectory(prefix="shoplens-") as folder:
        here = Path(folder)
        config = SearcherConfig(store_uri=folder, cache_folder=here / "cache", spool_folder=here / "spool")
        app = create_app(config, watch=False)
        json.dump(app.api_doc, sys.stdout, indent=1)
        app.extensions["searcher"].spool.close()
    print()


if __name__ == "__main__":
    print_document()
