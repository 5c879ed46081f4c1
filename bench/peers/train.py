#!/usr/bin/env python3
"""DiLoCo in PyTorch, over torch.distributed with gloo: one process a worker.

    python3 bench/peers/train.py PRECISION LAYERS WIDTH HEADS HEAD_SIZE FEED_FORWARD VOCABULARY
                                 SEQUENCE BATCH THREADS STEPS WORKERS ROUNDS

THREADS are those of a process. For each line on standard input all workers train ROUNDS rounds: STEPS
local steps each, then the mean of their pseudo-gradients makes a step of SGD with Nesterov momentum.
Prints the seconds, see bench/peer_process.hpp. Needs PyTorch (Debian: python3-torch).
"""
import os
import sys
import tempfile
import time

# OpenBLAS has threads of its own, of which torch.set_num_threads knows nothing.
os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[10]

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from transformer import Transformer, make_optimizer, take_step

precision = sys.argv[1]
(layers, width, heads, head_size, hidden, vocabulary, length, batch, threads, steps, workers,
 rounds) = map(int, sys.argv[2:])


class Worker:
    def __init__(self, rank):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.model = Transformer(layers, width, heads, head_size, hidden, vocabulary, length)
        self.inner = make_optimizer(self.model)
        self.start = [p.detach().clone() for p in self.model.parameters()]
        self.outer = torch.optim.SGD(self.start, lr=0.7, momentum=0.9, nesterov=True)
        torch.manual_seed(2 + rank)

    def train_round(self):
        for _ in range(steps):
            take_step(self.model, self.inner, torch.randint(vocabulary, (batch, length + 1)), precision)
        for start, own in zip(self.start, self.model.parameters()):
            start.grad = (start - own.detach()) / workers
            dist.all_reduce(start.grad)
        self.outer.step()
        with torch.no_grad():
            for start, own in zip(self.start, self.model.parameters()):
                own.copy_(start)


def take_part(rank, meeting_point):
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=workers)
    worker = Worker(rank)
    go_on = torch.ones(1)
    while True:
        if rank == 0:
            go_on[0] = 1 if sys.stdin.readline() else 0
        dist.broadcast(go_on, 0)
        if go_on[0] == 0:
            return
        dist.barrier()
        begin = time.perf_counter()
        for _ in range(rounds):
            worker.train_round()
        dist.barrier()
        if rank == 0:
            print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        meeting_point = os.path.join(folder, "meeting-point")
        others = mp.get_context("spawn")
        started = [others.Process(target=take_part, args=(rank, meeting_point), daemon=True) for rank in range(1, workers)]
        for process in started:
            process.start()
        take_part(0, meeting_point)
        for process in started:
            process.join()
