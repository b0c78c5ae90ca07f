"""What one writes in an afternoon: Flask, open_clip on torch, and the same FAISS index. The other side of `bench.throughput`.

    gunicorn --workers 2 bench.plain_app:app

Runs in its own environment (`bench.peers`), so it imports nothing of this project. PLAIN_MODEL is a folder with a model's
weights and configuration, PLAIN_INDEX a folder with index.faiss and items.arrow, PLAIN_NPROBE how many lists to probe.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import faiss
import open_clip
import pyarrow as pa
import torch
from flask import Flask, Response, jsonify, request
from PIL import Image
from safetensors.torch import load_file

MODEL, INDEX = Path(os.environ.get("PLAIN_MODEL", ".")), Path(os.environ.get("PLAIN_INDEX", "."))
SHOWN = ("product_id", "group_id", "title", "brand", "category", "colour", "price", "currency", "in_stock", "image_id")

app = Flask(__name__)


def load_model() -> tuple[Any, Any]:
    config = json.loads((MODEL / "open_clip_config.json").read_text())
    text = config["model_cfg"]["text_cfg"]
    text["hf_model_name"] = str(MODEL / text["hf_model_name"])
    model = open_clip.CustomTextCLIP(**config["model_cfg"])
    model.load_state_dict(load_file(MODEL / "model.safetensors"))
    asked = config["preprocess_cfg"]
    preprocess = open_clip.image_transform(
        asked["size"], is_train=False, mean=asked["mean"], std=asked["std"], interpolation=asked["interpolation"],
        resize_mode=asked["resize_mode"],
    )  # fmt: skip
    return model.eval(), preprocess


if "PLAIN_MODEL" in os.environ:
    model, preprocess = load_model()
    index = faiss.read_index(str(INDEX / "index.faiss"))
    faiss.extract_index_ivf(index).nprobe = int(os.environ["PLAIN_NPROBE"])
    with pa.memory_map(str(INDEX / "items.arrow")) as source:
        items = pa.ipc.open_file(source).read_all().select(SHOWN)


@app.get("/ready")
def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/search")
def search() -> Response:
    photo = Image.open(io.BytesIO(request.files["image"].read())).convert("RGB")
    k = int(request.form.get("k", 10))
    with torch.inference_mode():
        vector = model.encode_image(preprocess(photo).unsqueeze(0), normalize=True)
    scores, rows = index.search(vector.numpy(), k)
    found = items.take(pa.array(rows[0])).to_pylist()
    return jsonify([{**item, "score": float(score)} for item, score in zip(found, scores[0], strict=True)])
