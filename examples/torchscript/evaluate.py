"""Prints the loss of a trained model on test/: python3 evaluate.py run/model.pt"""
import sys

import numpy as np
import torch

model = torch.jit.load(sys.argv[1])
with torch.no_grad():
    loss, metrics = model(*(torch.from_numpy(np.load(f"test/{name}.npy")) for name in "xy"))
print(f"loss {loss.item():.8f} accuracy {metrics['accuracy'].item():.4f}")
