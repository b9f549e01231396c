"""A tiny text checkpoint quantised as MLX does, in the layout of mlx-lm, and what the reference computes with its weights.

    python Oracle/mlx_checkpoints.py        # Tests/Fixtures/mlx

Written after MLX's documentation (`mlx.core.quantize`, mode affine): a row is cut into groups; every number of a group is
w = scale * q + bias with 4 or 8 bits for q, packed into words of 32 bits from the lowest bits up. Which scale and bias the quantiser
takes changes no reader; here they are the group's range. mlx-lm quantises matrices whose rows are whole groups, and
`quantization` in config.json says how, with exceptions by module.
"""

from pathlib import Path

import gguf_files
import numpy as np
import reference
import tiny
import torch
from safetensors.torch import save_file

OUTPUT = Path(__file__).resolve().parent.parent / "Tests" / "Fixtures" / "mlx"
DEFAULT = {"group_size": 64, "bits": 4}
EXCEPTIONS = {
    "embed_tokens": {"group_size": 32, "bits": 8}, "mlp.down_proj": {"group_size": 128, "bits": 8}, "per_layer_projection": {"group_size": 32, "bits": 4},
    "self_attn.v_proj": {"group_size": 32, "bits": 8}, "laurel.linear_right": {"group_size": 32, "bits": 4}, "altup_projections.1": False,
}


def quantise(w: np.ndarray, group: int, bits: int, kind) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The three arrays of a matrix, and its weights as a reader in float32 sees them."""
    rows, columns = w.shape
    parts = w.reshape(rows, columns // group, group).astype(np.float64)
    low, high = parts.min(-1), parts.max(-1)
    scales = np.maximum((high - low) / (2**bits - 1), 1e-7).astype(np.float32)
    biases = low.astype(np.float32)
    if kind == "bfloat16":  # numpy has none: the upper halves of float32
        scales, biases = ((x.view(np.uint32) & 0xFFFF0000).view(np.float32) for x in (scales, biases))
    else:
        scales, biases = (x.astype(kind).astype(np.float32) for x in (scales, biases))
    q = np.clip(np.rint((parts - biases[..., None]) / scales[..., None]), 0, 2**bits - 1).astype(np.uint32)
    read = (scales[..., None] * q.astype(np.float32) + biases[..., None]).reshape(rows, columns)
    numbers = q.reshape(rows, columns * bits // 32, 32 // bits)
    words = np.zeros(numbers.shape[:2], np.uint32)
    for i in range(32 // bits):
        words |= numbers[..., i] << np.uint32(bits * i)
    return {"weight": words, "scales": scales, "biases": biases}, read


def main() -> None:
    configuration = gguf_files.blocks_configuration(64)
    weights = tiny.random_weights(tiny.build(configuration), 5)
    tensors, read = {}, {}
    quantization = DEFAULT | {"mode": "affine"}
    kinds = ["float32", "float16", "bfloat16"]
    for name, value in weights.items():
        mlx = name.replace("model.", "model.language_model.", 1)
        module = mlx.removesuffix(".weight")
        choice = next((c for end, c in EXCEPTIONS.items() if module.endswith(end)), None)
        if choice is not None:
            quantization[module] = choice
        choice = DEFAULT if choice is None else choice
        if value.dim() != 2 or choice is False or value.shape[1] % choice["group_size"]:
            tensors[mlx] = value
            read[name] = value
            continue
        kind = kinds[len(tensors) % 3]
        parts, dequantised = quantise(value.numpy(), choice["group_size"], choice["bits"], kind)
        for part, array in parts.items():
            tensor = torch.from_numpy(array)
            tensors[f"{module}.{part}"] = tensor if part == "weight" else tensor.to(getattr(torch, kind))
        read[name] = torch.from_numpy(dequantised)
    directory = OUTPUT / "text"
    directory.mkdir(parents=True, exist_ok=True)
    tiny.write_tokenizer("tiny-text", directory)
    nested = {"architectures": ["Gemma3nForConditionalGeneration"], "model_type": "gemma3n", "text_config": configuration}
    tiny.write_json(directory / "config.json", nested | {"eos_token_id": 1, "quantization": quantization, "quantization_config": quantization})
    (directory / "chat_template.jinja").write_text(tiny.CHAT_TEMPLATE)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "mlx"})

    generator = torch.Generator().manual_seed(3)
    ids = torch.cat([torch.tensor([2]), torch.randint(300, 600, (23,), generator=generator)])
    expected, original = (gguf_files.logits(configuration, w, ids)[-8:].contiguous() for w in (read, weights))
    print(f"logits within {(expected - original).abs().max().item():.3f} of the checkpoint's (standard deviation {original.std():.1f})")
    # Of every quantised matrix some rows as they are read.
    rows = {f"row.{name}": value[3].clone() for name, value in read.items() if name.replace("model.", "model.language_model.", 1).removesuffix(".weight") + ".scales" in tensors}
    save_file({"input_ids": ids, "logits": expected} | rows, OUTPUT / "text.safetensors", metadata={"script": "Oracle/mlx_checkpoints.py"} | reference.versions())


if __name__ == "__main__":
    main()
