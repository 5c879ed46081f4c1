#!/usr/bin/env python3
"""An outer step in PyTorch: torch.optim.SGD with Nesterov momentum on one flat f32 parameter.

    python3 bench/peers/merge.py PARAMETERS THREADS

For each line on standard input it takes one step and prints its seconds, see bench/peer_process.hpp.
Needs PyTorch (Debian: python3-torch).
"""
import sys
import time

import torch

parameters, threads = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
theta = torch.nn.Parameter(torch.arange(parameters, dtype=torch.float32).remainder_(1013).mul_(1e-4))
theta.grad = torch.arange(parameters, dtype=torch.float32).remainder_(997).mul_(1e-4)
optimizer = torch.optim.SGD([theta], lr=0.7, momentum=0.9, nesterov=True, foreach=False)
for _ in sys.stdin:
    begin = time.perf_counter()
    optimizer.step()
    print(time.perf_counter() - begin, flush=True)
