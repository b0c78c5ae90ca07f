"""A hook of Schemathesis: what it asks can be answered, so that filters, weights and facets are really run.

Left alone it sends photos that are none and products that are not there, and nearly all of it ends in the parser.
"""

from typing import Any

import schemathesis

NEEDS_LUCK = (
    "cursor",
    "image_base64",
    "negative_image_base64",
    "bbox",
    "image_weights",
    "product_id",
    "liked",
    "disliked",
)


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    if context.operation.path != "/search" or not isinstance(body, dict):
        return body
    return {name: value for name, value in body.items() if name not in NEEDS_LUCK} | {"text": "red"}
