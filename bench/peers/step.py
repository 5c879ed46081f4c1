#!/usr/bin/env python3
"""Local steps in PyTorch, as its users write them: eager modules, AdamW, a clipped gradient.

    python3 bench/peers/step.py PRECISION LAYERS WIDTH HEADS HEAD_SIZE FEED_FORWARD VOCABULARY
                                SEQUENCE BATCH THREADS STEPS
    python3 bench/peers/step.py PRECISION --device cuda LAYERS ...

For each line on standard input it takes STEPS steps on random tokens and prints their seconds, see
bench/peer_process.hpp. PRECISION is f32, or bf16 for autocast. Needs PyTorch (Debian: python3-torch).
"""
import argparse
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("precision", choices=["f32", "bf16"])
parser.add_argument("--device", default="cpu")
parser.add_argument("sizes", type=int, nargs=10)
arguments = parser.parse_args()
precision, device = arguments.precision, arguments.device
layers, width, heads, head_size, hidden, vocabulary, length, batch, threads, steps = arguments.sizes

# OpenBLAS has threads of its own, of which torch.set_num_threads knows nothing.
os.environ["OPENBLAS_NUM_THREADS"] = str(threads)

import torch

from transformer import Transformer, make_optimizer, take_step

torch.set_num_threads(threads)
torch.manual_seed(1)
model = Transformer(layers, width, heads, head_size, hidden, vocabulary, length).to(device)
optimizer = make_optimizer(model)
for _ in sys.stdin:
    data = [torch.randint(vocabulary, (batch, length + 1)) for _ in range(steps)]
    if device != "cpu":
        data = [tokens.pin_memory() for tokens in data]
        torch.cuda.synchronize()
    begin = time.perf_counter()
    for tokens in data:
        take_step(model, optimizer, tokens.to(device, non_blocking=True), precision)
    if device != "cpu":
        torch.cuda.synchronize()
    print(time.perf_counter() - begin, flush=True)
