"""What a cache folder looks like, and which folder is none: in it only downloads of this host may lie."""

from pathlib import Path

from schemas.errors import Misconfigured

LOCK_FILE = ".searchers.lock"
KINDS = ("builds", "models", "deltas")
_SEAL_SUFFIX = ".verified"


def seal_of(folder: Path) -> Path:
    """The note beside a copy that says that all of it was verified."""
    return folder.with_name(f"{folder.name}{_SEAL_SUFFIX}")


def seals_in(folder: Path) -> list[Path]:
    return list(folder.glob(f"*{_SEAL_SUFFIX}"))


def sealed_by(seal: Path) -> Path:
    return seal.with_name(seal.name.removesuffix(_SEAL_SUFFIX))


def refuse_foreign_folder(folder: Path) -> None:
    """Raises Misconfigured where a folder holds, under names that searchers clean up, what was not downloaded there.

    Whoever names the store as its cache, or a folder with `models` of his own, would lose all that is not served.
    """
    if (folder / LOCK_FILE).exists():
        return
    found = (path for kind in KINDS for path in (folder / kind).glob("*") if path.is_dir())
    foreign = next((path for path in found if not _was_downloaded(path)), None)
    if foreign is not None:
        raise Misconfigured(
            f"{folder} is no cache: {foreign.relative_to(folder)} was not downloaded there, and a searcher would remove "
            "it; name an empty folder"
        )


def _was_downloaded(folder: Path) -> bool:
    """Each download has a lock beside it, also one of a job that shares the cache; a copy may be without hidden files."""
    return folder.name.startswith(".") or seal_of(folder).exists() or folder.with_name(f".{folder.name}.lock").exists()
