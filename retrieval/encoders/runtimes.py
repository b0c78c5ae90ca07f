"""Which runtime computes: torch on a GPU; on a CPU the fastest of those whose parity was measured on real photos."""

import importlib
import importlib.util
import shutil
from pathlib import Path
from typing import Any

from retrieval.encoders.bundles import read_bundle
from retrieval.encoders.contract import Encoder
from schemas.bundle import INT8_IMAGE_TOWER_FILE, Bundle
from schemas.errors import ModelUnavailable

EXACT = "onnx-fp32"
CPU_RUNTIMES = (EXACT, "openvino-fp32", "openvino-bf16", "onnx-int8")
RUNTIMES = ("auto", "onnx", "openvino", "torch", *CPU_RUNTIMES)


def load_encoder(folder: Path, runtime: str = "auto", threads: int = 1, *, words: bool = True) -> Encoder:
    """A bundle's encoder. `runtime`: one of RUNTIMES; `onnx` and `openvino` mean fp32. Without `words`, ONNX Runtime
    leaves the text tower on disk.

    Raises ModelUnavailable where the runtime is not installed here, or the bundle has no tower for it.
    """
    chosen = choose_runtime(read_bundle(folder)) if runtime == "auto" else runtime
    engine, _, precision = chosen.partition("-")
    try:
        if engine == "torch":
            return _encoder_class("torch", "TorchEncoder").load(folder)  # type: ignore[no-any-return]
        if engine == "openvino":
            loader = _encoder_class("openvino", "OpenVinoEncoder")
            return loader.load(folder, threads, precision or "fp32")  # type: ignore[no-any-return]
        if engine == "onnx":
            loader = _encoder_class("onnx", "OnnxEncoder")
            return loader.load(folder, threads, precision or "fp32", words=words)  # type: ignore[no-any-return]
    except ImportError as error:
        raise ModelUnavailable(
            f"{chosen} needs {error.name}, which is not installed here: choose another runtime"
        ) from None
    raise ModelUnavailable(f"there is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")


def needs_weights(runtime: str) -> bool:
    """Whether a runtime reads the torch weights rather than the ONNX towers."""
    return runtime == "torch" or (runtime == "auto" and has_gpu())


def choose_runtime(bundle: Bundle) -> str:
    """What `auto` means here: torch on a GPU, else what the bundle's export measured, else the exact runtime."""
    if has_gpu():
        return "torch"
    recorded = str(bundle.metrics.get("cpu_runtime", EXACT))
    return recorded if recorded in available_cpu_runtimes(bundle) else EXACT


def available_cpu_runtimes(bundle: Bundle) -> tuple[str, ...]:
    """Of CPU_RUNTIMES, those whose library is installed, whose tower the bundle has and whose numbers the CPU computes."""
    found = [EXACT]
    if importlib.util.find_spec("openvino"):
        precisions = importlib.import_module("retrieval.encoders.openvino").supported_precisions()
        found += [f"openvino-{precision}" for precision in precisions]
    if INT8_IMAGE_TOWER_FILE in bundle.files:
        found.append("onnx-int8")
    return tuple(found)


def has_gpu() -> bool:
    """Whether torch sees a CUDA device; asked only where a driver is installed, since importing torch takes seconds."""
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    return bool(importlib.import_module("retrieval.encoders.torch").torch.cuda.is_available())


def _encoder_class(module: str, name: str) -> Any:
    """Loaded when it is chosen: each brings a large library that not every environment has."""
    return getattr(importlib.import_module(f"retrieval.encoders.{module}"), name)
