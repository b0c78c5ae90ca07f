"""Where a shop's catalog stands: a folder, an object-store prefix or a database."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.errors import CatalogMissing, Misconfigured

_WEB_SCHEMES = ("http", "https", "ftp", "sftp")


@dataclass(frozen=True)
class CatalogPlace:
    """A catalog's folder or database. `user` and `password` are for PostgreSQL only."""

    uri: str
    user: str | None = None
    password: str | None = None

    @property
    def is_database(self) -> bool:
        return self.uri.startswith("jdbc:")

    @property
    def is_on_s3(self) -> bool:
        return self.uri.startswith(("s3:", "s3a:"))

    @property
    def shown(self) -> str:
        """The URI without its query, which may hold a password."""
        return self.uri.partition("?")[0]

    @property
    def local_path(self) -> Path | None:
        """The absolute local path, or None for what is elsewhere."""
        parts = urlsplit(self.uri)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        return Path(self.uri).resolve() if not parts.scheme else None

    @property
    def folder_uri(self) -> str | None:
        """What relative links are joined to, with a slash at its end; None for a database."""
        if self.is_database:
            return None
        path = self.local_path
        if path is None:
            return self.uri.rstrip("/") + "/"
        return (path.parent if path.is_file() else path).as_uri().rstrip("/") + "/"

    def file(self, source_path: str) -> str:
        """The path for Spark to read. Raises CatalogMissing where a local one is not there, Misconfigured for a web address."""
        path = self.local_path
        scheme = urlsplit(self.uri).scheme
        if scheme in _WEB_SCHEMES:  # a feed's own address; it may hold a password
            raise Misconfigured(
                f"--catalog is a web address ({scheme}:), which nobody downloads here: save it to a folder or an s3:// "
                "prefix, and name that"
            )
        if path is None:
            return self.uri.rstrip("/").replace("s3://", "s3a://", 1) + (f"/{source_path}" if source_path else "")
        if not path.exists():
            raise CatalogMissing(f"no catalog at {path}: give its folder with --catalog")
        found = path if path.is_file() or not source_path else path / source_path
        if found.exists():
            return _literal(found)
        if not _is_glob(source_path):
            raise CatalogMissing(f"no file {source_path} in {path}: mend [source] path in the mapping file")
        return str(Path(_literal(path)) / source_path)


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[{")


def _literal(path: Path) -> str:
    """The path as Spark takes it for itself and not for a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path))
