#!/usr/bin/env python3
"""Local steps in PyTorch, as its users write them: eager modules, AdamW, a clipped gradient.

    python3 bench/peers/step.py PRECISION LAYERS WIDTH HEADS HEAD_SIZE FEED_FORWARD VOCABULARY
                                SEQUENCE BATCH THREADS STEPS

The same transformer as model/transformer.cpp. For each line on standard input it takes STEPS steps
on random tokens and prints their seconds, see bench/peer_process.hpp. PRECISION is f32, or bf16 for
autocast. Needs PyTorch (Debian: python3-torch).
"""
import contextlib
import math
import os
import sys
import time

# OpenBLAS has threads of its own, of which torch.set_num_threads knows nothing.
os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[10]

import torch
from torch import nn
from torch.nn import functional as F

precision = sys.argv[1]
layers, width, heads, head_size, hidden, vocabulary, length, batch, threads, steps = map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * heads * head_size)
        self.output = nn.Linear(heads * head_size, width)
        mask = torch.full((length, length), -math.inf).triu(1)
        self.register_buffer("mask", mask)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (y.view(n, t, heads, head_size).transpose(1, 2) for y in self.qkv(x).chunk(3, dim=-1))
        if hasattr(F, "scaled_dot_product_attention"):
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(head_size) + self.mask[:t, :t]
            mixed = scores.softmax(-1) @ v
        return self.output(mixed.transpose(1, 2).reshape(n, t, heads * head_size))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention()
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, x):
        h = self.tokens(x) + self.positions.weight[: x.shape[1]]
        return F.linear(self.norm(self.blocks(h)), self.tokens.weight)


model = Transformer()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
for _ in sys.stdin:
    data = [torch.randint(vocabulary, (batch, length + 1)) for _ in range(steps)]
    begin = time.perf_counter()
    for tokens in data:
        autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
        with autocast:
            logits = model(tokens[:, :-1])
            loss = F.cross_entropy(logits.reshape(-1, vocabulary), tokens[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(time.perf_counter() - begin, flush=True)
