"""Named f32 tensors from and to .safetensors files, for where the package safetensors is not."""
import json

import numpy as np
import torch


def load_safetensors(path):
    """The tensors of a file of Rubato's by name."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: torch.tensor(
            np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        )
        for name, entry in header.items()
    }


def save_safetensors(path, tensors):
    """A file for run.init."""
    header, parts, end = {}, [], 0
    for name, tensor in tensors.items():
        parts.append(np.ascontiguousarray(tensor.detach().numpy(), "<f4").tobytes())
        begin, end = end, end + len(parts[-1])
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(parts))
