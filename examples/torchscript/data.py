"""Writes points of three spirals and their classes: train/{x,y}.npy and test/{x,y}.npy."""
from pathlib import Path

import numpy as np

random = np.random.default_rng(1)
for folder, count in ("train", 6000), ("test", 1200):
    y = np.arange(count) % 3
    radius = random.uniform(0.1, 1, count)
    angle = 2 * np.pi * y / 3 + 4 * radius + random.normal(0, 0.2, count)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    Path(folder).mkdir(exist_ok=True)
    np.save(f"{folder}/x.npy", x)
    np.save(f"{folder}/y.npy", y)
