"""A tekken.json of few tokens, and transformers' tokenizer with the same ones."""

import base64
import json

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor
from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

from nodes.models.text.clip_tokenizer import byte_symbols
from nodes.models.text.tekken_tokenizer import _SPECIAL as SPECIAL

WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
RESERVED = 24
JOINED = ((b"a", b"t"), (b"h", b"e"), (b"t", b"he"), (b" ", b"the"), (b"c", b"at"), (b" ", b"cat"))
TOKENS = [bytes([number]) for number in range(256)] + [first + second for first, second in JOINED]
SIZE = RESERVED + len(TOKENS)


def tekken_json() -> bytes:
    """The file."""
    content = {
        "config": {
            "pattern": WORDS,
            "default_vocab_size": SIZE,
            "default_num_special_tokens": RESERVED,
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(token).decode()}
            for rank, token in enumerate([*TOKENS, b"dropped"])
        ],
    }
    return json.dumps(content).encode()


def tekken_tensor() -> Tensor:
    """The file as published text encoders have it."""
    return torch.frombuffer(bytearray(tekken_json()), dtype=torch.uint8)


def their_tekken() -> PreTrainedTokenizerFast:
    """Transformers' tokenizer with a chat of a system's and a user's texts, padded at the left."""
    symbols = byte_symbols()

    def named(token: bytes) -> str:
        return "".join(symbols[byte] for byte in token)

    filler = [f"<SPECIAL_{number}>" for number in range(len(SPECIAL), RESERVED)]
    names = [*SPECIAL, *filler, *map(named, TOKENS)]
    pairs = [(named(first), named(second)) for first, second in JOINED]
    made = Tokenizer(BPE({name: number for number, name in enumerate(names)}, pairs))
    split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, normalized=False) for name in SPECIAL])
    theirs = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", padding_side="left"
    )
    theirs.chat_template = (
        "<s>{% for m in messages %}{% for c in m.content %}"
        "{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ c.text }}[/SYSTEM_PROMPT]"
        "{% else %}[INST]{{ c.text }}[/INST]{% endif %}{% endfor %}{% endfor %}"
    )
    return theirs
