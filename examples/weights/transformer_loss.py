"""The loss of a transformer that Rubato has trained, computed by PyTorch from its parameters.

    python3 transformer_loss.py run/parameters.safetensors tokens.npy --heads 4

tokens.npy holds windows, one a row, of whole numbers; for bytes of text for example
    tokens = np.frombuffer(open("text.txt", "rb").read(), dtype=np.uint8)
    np.save("tokens.npy", tokens[: len(tokens) // 129 * 129].reshape(-1, 129))
Prints the mean of -ln p over all tokens but the first of each row.
"""
import argparse

import numpy as np
import torch
from torch.nn import functional as F

from rubato_weights import load_safetensors


def transformer(weights, tokens, heads):
    """Logits of the token after each."""

    def linear(name, x):
        return F.linear(x, weights[name + ".weight"], weights[name + ".bias"])

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"])

    examples, length = tokens.shape
    x = weights["token_embedding.weight"][tokens] + weights["position_embedding.weight"][:length]
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    blocks = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    for block in (f"blocks.{i}." for i in range(blocks)):
        qkv = linear(block + "attention.qkv", norm(block + "attention.norm", x))
        q, k, v = qkv.view(examples, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        mixed = scores.masked_fill(future, -torch.inf).softmax(-1) @ v
        x = x + linear(block + "attention.output", mixed.transpose(1, 2).reshape(examples, length, -1))
        hidden = F.gelu(linear(block + "feed_forward.up", norm(block + "feed_forward.norm", x)))
        x = x + linear(block + "feed_forward.down", hidden)
    return F.linear(norm("norm", x), weights["token_embedding.weight"])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("parameters")
    arguments.add_argument("tokens")
    arguments.add_argument("--heads", type=int, required=True)
    arguments = arguments.parse_args()
    rows = torch.from_numpy(np.load(arguments.tokens).astype(np.int64))
    with torch.no_grad():
        logits = transformer(load_safetensors(arguments.parameters), rows[:, :-1], arguments.heads)
        print(f"loss {F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item():.8f}")
