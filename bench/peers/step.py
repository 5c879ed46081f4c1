#!/usr/bin/env python3
"""Local steps in PyTorch, as its users write them: eager modules, AdamW, a clipped gradient.

    python3 bench/peers/step.py PRECISION LAYERS WIDTH HEADS HEAD_SIZE FEED_FORWARD VOCABULARY
                                SEQUENCE BATCH THREADS STEPS

For each line on standard input it takes STEPS steps on random tokens and prints their seconds, see
bench/peer_process.hpp. PRECISION is f32, or bf16 for autocast. Needs PyTorch (Debian: python3-torch).
"""
import os
import sys
import time

# OpenBLAS has threads of its own, of which torch.set_num_threads knows nothing.
os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[10]

import torch

from transformer import Transformer, make_optimizer, take_step

precision = sys.argv[1]
layers, width, heads, head_size, hidden, vocabulary, length, batch, threads, steps = map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(1)
model = Transformer(layers, width, heads, head_size, hidden, vocabulary, length)
optimizer = make_optimizer(model)
for _ in sys.stdin:
    data = [torch.randint(vocabulary, (batch, length + 1)) for _ in range(steps)]
    begin = time.perf_counter()
    for tokens in data:
        take_step(model, optimizer, tokens, precision)
    print(time.perf_counter() - begin, flush=True)
