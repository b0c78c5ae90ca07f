"""Model bundles as folders and in the object store: written once, checked file by file, one local copy a host."""

import fcntl
import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from retrieval.store.objects import ObjectStore
from schemas.bundle import (
    BUNDLE_FILE,
    OPEN_CLIP_CONFIG_FILE,
    TEXT_CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Bundle,
    BundleFile,
    Preprocessing,
    TextInput,
    model_key,
)
from schemas.errors import Corrupt, ModelUnavailable, PreconditionFailed

_BLOCK_BYTES = 1 << 20
_ID_DIGITS = 12


def read_bundle(folder: Path) -> Bundle:
    """The description of a bundle folder. Raises ModelUnavailable where there is none, Corrupt where it is damaged."""
    path = folder / BUNDLE_FILE
    try:
        return Bundle.from_json(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise ModelUnavailable(
            f"{folder} holds no {BUNDLE_FILE}: make a model bundle with `shoplens model export --out {folder}`"
        ) from None
    except OSError as error:
        raise ModelUnavailable(f"cannot read {path} ({error.strerror}): check its permissions") from None


def verify_bundle(folder: Path, *, weights: bool = False) -> Bundle:
    """Check every file's size and SHA-256. Raises Corrupt, naming the first file that is not what it should be.

    The torch weights may be absent, since serving does not need them; `weights` says that they must be there.
    """
    bundle = read_bundle(folder)
    if not bundle.model_id.endswith("-" + bundle.fingerprint[:_ID_DIGITS]):
        raise Corrupt(
            str(folder / BUNDLE_FILE), f"a model id ending in {bundle.fingerprint[:_ID_DIGITS]}", bundle.model_id
        )
    for name, expected in bundle.files.items():
        path = folder / name
        if name == WEIGHTS_FILE and not weights and not path.exists():
            continue
        _verify_file(path, expected)
    return bundle


def write_bundle(
    folder: Path, name: str, dimension: int, preprocessing: Preprocessing, text_input: TextInput | None,
    fingerprint: str, metrics: Mapping[str, Any],
) -> Bundle:  # fmt: skip
    """Describe the files that lie in `folder` as a bundle; its bundle.json is written last, whole."""
    files = {path.name: _describe(path) for path in sorted(folder.iterdir()) if path.name != BUNDLE_FILE}
    bundle = Bundle(
        name=name, model_id=f"{_slug(name)}-{fingerprint[:_ID_DIGITS]}", fingerprint=fingerprint, dimension=dimension,
        preprocessing=preprocessing, text_input=text_input, files=files, metrics=dict(metrics),
    )  # fmt: skip
    _write_description(folder, bundle.to_json())
    return bundle


def fingerprint_of(folder: Path, dimension: int, preprocessing: Preprocessing, text_input: TextInput | None) -> str:
    """SHA-256 over all that decides a vector: tensors (name, type, shape, bytes), architecture, tokenizer,
    preprocessing, dimension. ONNX files, runtimes and metrics are left out: they may change, the vectors may not.

    Reads what lies in `folder`. Raises Corrupt where the weights are no safetensors file.
    """
    digest = hashlib.sha256()
    for part in _tensor_digests(folder / WEIGHTS_FILE):
        digest.update(part)
    text = [text_input.context_length, text_input.pad_id] if text_input else None
    pixels = [preprocessing.image_size, *preprocessing.mean, *preprocessing.std,
              preprocessing.interpolation, preprocessing.resize_mode]  # fmt: skip
    described = {
        "architecture": _json_of(folder / OPEN_CLIP_CONFIG_FILE).get("model_cfg"),
        "text_tower": _json_of(folder / TEXT_CONFIG_FILE),
        "tokenizer": _json_of(folder / TOKENIZER_FILE),
        "dimension": dimension,
        "preprocessing": pixels,
        "text_input": text,
    }
    digest.update(json.dumps(described, sort_keys=True).encode())
    return digest.hexdigest()


def upload_bundle(store: ObjectStore, folder: Path) -> Bundle:
    """Put a bundle under models/<model id>/, bundle.json last; one that is there already is left alone.

    Raises Corrupt where the folder is damaged, StoreNotWritable or StoreUnavailable where the store fails.
    """
    bundle = verify_bundle(folder, weights=True)
    key = model_key(bundle.model_id)
    if store.get(key) is not None:
        return bundle
    for name in bundle.files:
        store.upload(folder / name, model_key(bundle.model_id, name))
    with suppress(PreconditionFailed):  # someone else uploaded the same model meanwhile
        store.put(key, (folder / BUNDLE_FILE).read_bytes(), if_none_match=True)
    return bundle


def find_bundle(store: ObjectStore, model_id: str) -> Bundle:
    """The description of models/<model id>/, its files there in their full sizes; hashes are checked as it is fetched.

    Raises ModelUnavailable where the store has no such model, Corrupt where its files are damaged.
    """
    bundle, _ = _find(store, model_id)
    for name, expected in bundle.files.items():
        key = model_key(model_id, name)
        found = store.size(key)
        if found != expected.bytes:
            raise Corrupt(key, f"{expected.bytes} bytes", "nothing" if found is None else f"{found} bytes")
    return bundle


def _find(store: ObjectStore, model_id: str) -> tuple[Bundle, bytes]:
    """A stored model's description, read and as it is."""
    found = store.get(model_key(model_id))
    if found is None:
        raise ModelUnavailable(
            f"{store.uri} has no model {model_id}: upload it with `shoplens model export --store {store.uri}`"
        )
    return Bundle.from_json(found.data, model_key(model_id)), found.data


def fetch_bundle(store: ObjectStore, model_id: str, cache_folder: Path, *, weights: bool = False) -> Path:
    """A verified local copy of models/<model id>/, made once for each host: others wait at a file lock.

    Torch weights are fetched only when asked for. A damaged copy is fetched again. Raises ModelUnavailable where
    the store has no such model or no copy can be kept, Corrupt where the store's own files are damaged.
    """
    bundle, description = _find(store, model_id)
    folder = cache_folder / model_id
    try:
        with _locked(cache_folder, model_id):
            folder.mkdir(parents=True, exist_ok=True)
            for name, expected in bundle.files.items():
                if name != WEIGHTS_FILE or weights or (folder / name).exists():
                    _fetch_file(store, model_key(model_id, name), folder / name, expected)
            _write_description(folder, description)
    except OSError as error:
        raise ModelUnavailable(
            f"cannot keep a copy of {model_id} in {cache_folder} ({error.strerror or error}): "
            "free space there or fix its permissions, or name another folder (--cache, SHOPLENS_CACHE)"
        ) from error
    return folder


def locate_bundle(store: ObjectStore, model: str, cache_folder: Path, *, weights: bool = False) -> Path:
    """The folder of a model given as a bundle folder, or as an id in the store. Verified either way."""
    folder = Path(model)
    if (folder / BUNDLE_FILE).exists():
        verify_bundle(folder, weights=weights)
        return folder
    if "/" in model:
        read_bundle(folder)
    return fetch_bundle(store, model, cache_folder, weights=weights)


def _fetch_file(store: ObjectStore, key: str, path: Path, expected: BundleFile) -> None:
    """Download unless a good copy is there."""
    try:
        _verify_file(path, expected)
        return
    except Corrupt:
        pass
    partial = path.with_name(f".{path.name}.partial")
    try:
        if not store.download(key, partial):
            raise Corrupt(key, f"{expected.bytes} bytes", "nothing")
        _verify_file(partial, expected, key)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_description(folder: Path, description: bytes) -> None:
    """Its bundle.json, whole at every moment: workers that share the folder read it without the lock."""
    path, partial = folder / BUNDLE_FILE, folder / f".{BUNDLE_FILE}.partial"
    if path.exists() and path.read_bytes() == description:
        return
    try:
        partial.write_bytes(description)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _verify_file(path: Path, expected: BundleFile, key: str | None = None) -> None:
    named = key or str(path)
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise Corrupt(named, f"{expected.bytes} bytes", "nothing") from None
    if found != expected.bytes:
        raise Corrupt(named, f"{expected.bytes} bytes", f"{found} bytes")
    actual = _sha256(path)
    if actual != expected.sha256:
        raise Corrupt(named, f"SHA-256 {expected.sha256[:12]}…", f"{actual[:12]}…")


def _describe(path: Path) -> BundleFile:
    return BundleFile(path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _tensor_digests(weights: Path) -> Iterator[bytes]:
    """One digest a tensor, by name. The file's own order and metadata do not count."""
    with weights.open("rb") as source:
        try:
            (header_bytes,) = struct.unpack("<Q", source.read(8))
            header = json.loads(source.read(header_bytes))
        except (struct.error, ValueError, MemoryError, OverflowError) as error:
            raise Corrupt(str(weights), "a safetensors file", repr(error)) from error
        header.pop("__metadata__", None)
        for name in sorted(header):
            entry = header[name]
            start, end = entry["data_offsets"]
            digest = hashlib.sha256(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
            source.seek(8 + header_bytes + start)
            for offset in range(start, end, _BLOCK_BYTES):
                digest.update(source.read(min(_BLOCK_BYTES, end - offset)))
            yield digest.digest()


def _json_of(path: Path) -> dict[str, Any]:
    """A bundle's JSON file; empty where the model has none. Raises Corrupt."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Corrupt(str(path), "JSON", repr(error)[:200]) from error


def _slug(name: str) -> str:
    """The name as it can stand in paths and keys."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


@contextmanager
def _locked(cache_folder: Path, model_id: str) -> Iterator[None]:
    cache_folder.mkdir(parents=True, exist_ok=True)
    with open(cache_folder / f".{model_id}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def default_cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where hosts keep their copies: SHOPLENS_CACHE, or the user's cache folder."""
    fallback = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoplens"
    return Path(environment.get("SHOPLENS_CACHE") or fallback) / "models"


def refingerprint(folder: Path) -> str:
    """The fingerprint of the files that lie in a bundle folder. Raises Corrupt where it is not the bundle's own."""
    bundle = read_bundle(folder)
    found = fingerprint_of(folder, bundle.dimension, bundle.preprocessing, bundle.text_input)
    if found != bundle.fingerprint:
        raise Corrupt(str(folder), f"fingerprint {bundle.fingerprint[:12]}…", f"{found[:12]}…")
    return found
