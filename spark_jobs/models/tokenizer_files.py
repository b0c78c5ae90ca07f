"""One tokenizer.json for any open_clip model, so that serving needs neither open_clip nor transformers.

open_clip's own cleaning comes first, in the file: HTML entities, control characters, curly quotes
and ligatures, white space. What it does
beyond that (ftfy's repair of text that was decoded wrongly) is left out: catalogs are repaired when they are read.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer, bytes_to_unicode, default_bpe
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from retrieval.encoders.tokenizer import TextTokenizer
from schemas.bundle import TextInput
from schemas.errors import ModelUnavailable

_START, _END = "<start_of_text>", "<end_of_text>"
_WORDS = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&nbsp;": " "}
_LOOKALIKES = {
    "[\u02bc\u2018-\u201b]": "'", "[\u201c-\u201f]": '"', "ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "ﬃ": "ffi", "ﬄ": "ffl",
}  # fmt: skip
_UNSEEN = r"[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]"
PROBE_TEXTS = (
    "red shoes", "A photo of a long-sleeved dress, size 42", "men's T-shirt &amp; shorts", "  spaces \t and\nlines ",
    "100% cotton; 3-pack (blue/green)", "crème brûlée façade", "Größe XL", "красное платье", "赤いドレス", "👗 summer 👠",
    "it’s “vintage”", "", "!!!", "ABC123 xyz-9", "<end_of_text>", "word " * 120,
)  # fmt: skip


def tokenizer_file(tokenizer: Callable[..., torch.Tensor]) -> tuple[bytes, TextInput]:
    """tokenizer.json with the same ids as an open_clip tokenizer, and the shape of its input.

    Raises ModelUnavailable where its ids cannot be had this way.
    """
    context_length = int(tokenizer.context_length)  # type: ignore[attr-defined]
    if isinstance(tokenizer, SimpleTokenizer):
        made, pad_id = _byte_pair_tokenizer(), 0
    elif isinstance(tokenizer, HFTokenizer) and not tokenizer.tokenizer_mode and not tokenizer.strip_sep_token:
        made, pad_id = _from_transformers(tokenizer), int(tokenizer.tokenizer.pad_token_id)
    else:
        raise ModelUnavailable(f"{type(tokenizer).__name__} cannot be written as tokenizer.json: choose another model")
    text_input = TextInput(context_length, pad_id)
    content = json.dumps(json.loads(made.to_str()), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    _refuse_other_ids(content, text_input, tokenizer, PROBE_TEXTS)
    return content, text_input


def _byte_pair_tokenizer() -> Tokenizer:
    """CLIP's byte-pair encoding with the merges that come with open_clip."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as source:
        merges = [(line.split()[0], line.split()[1]) for line in source.read().split("\n")[1 : 49152 - 256 - 2 + 1]]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges), _START, _END]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", continuing_subword_prefix="")
    )
    tokenizer.normalizer = normalizers.Sequence([*_cleaning(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    marks = {mark: vocabulary[mark] for mark in (_START, _END)}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=list(marks.items())
    )
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return tokenizer


def _from_transformers(tokenizer: Any) -> Tokenizer:
    """The Rust tokenizer inside a transformers one, with open_clip's cleaning before its own."""
    made = Tokenizer.from_str(tokenizer.tokenizer.backend_tokenizer.to_str())
    made.no_truncation()
    made.no_padding()
    own = [made.normalizer] if made.normalizer is not None else []
    made.normalizer = normalizers.Sequence([*_cleaning(), *own])
    return made


def _cleaning() -> list[Any]:
    entities = [normalizers.Replace(entity, character) for entity, character in _ENTITIES.items()]
    lookalikes = [normalizers.Replace(Regex(pattern), text) for pattern, text in _LOOKALIKES.items()]
    spaces = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    return [*entities, normalizers.Replace(Regex(_UNSEEN), ""), *lookalikes, normalizers.NFC(), *spaces]


def _refuse_other_ids(
    content: bytes, text_input: TextInput, tokenizer: Callable[..., torch.Tensor], texts: Sequence[str]
) -> None:
    ours = TextTokenizer(Tokenizer.from_buffer(content), text_input)
    for text in texts:
        expected, found = tokenizer([text])[0].tolist(), ours.encode([text])[0].tolist()
        if expected != found:
            raise ModelUnavailable(
                f"this model's tokenizer.json gives other ids than open_clip for {text!r}: choose another model"
            )
