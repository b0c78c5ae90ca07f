"""From words to input ids, with the bundle's own tokenizer.json."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from schemas.bundle import TOKENIZER_FILE, TextInput
from schemas.errors import ModelUnavailable


class TextTokenizer:
    """Cuts at the model's context length, its end mark kept, and pads with its pad id. Safe to share by threads."""

    def __init__(self, tokenizer: Tokenizer, text_input: TextInput) -> None:
        tokenizer.enable_truncation(max_length=text_input.context_length)
        tokenizer.no_padding()
        self._tokenizer, self._text_input = tokenizer, text_input

    @classmethod
    def load(cls, folder: Path, text_input: TextInput) -> "TextTokenizer":
        """From a bundle folder. Raises ModelUnavailable where its tokenizer cannot be read."""
        path = folder / TOKENIZER_FILE
        try:
            return cls(Tokenizer.from_file(str(path)), text_input)
        except Exception as error:  # the library raises bare Exception
            raise ModelUnavailable(f"cannot read {path} ({error}): export or fetch the model again") from error

    def encode(self, texts: Sequence[str], *, pad_to_longest: bool = False) -> NDArray[np.int64]:
        """Input ids (n, length): the context length, or the longest text's where the tower takes any length."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch([_encodable(text) for text in texts])]
        length = max(map(len, rows), default=1) if pad_to_longest else self._text_input.context_length
        ids = np.full((len(rows), length), self._text_input.pad_id, dtype=np.int64)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        return ids


def _encodable(text: str) -> str:
    """Lone surrogates, which JSON lets through, are no characters."""
    return text.encode("utf-8", "replace").decode("utf-8")
