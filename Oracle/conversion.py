"""Converts a random checkpoint with `gemma3n convert` and compares what the files compute.

    python Oracle/conversion.py --program .build/release/gemma3n --llama LLAMA_PYTHON [--types q4_0,q8_0] [--work DIRECTORY]

The checkpoint has the sizes that llama.cpp takes for granted (K/V of the first 20 layers, sparsity 0.95 in the first 10, LAuReL of
rank 64, per-layer inputs of 256) and is small otherwise. For every type, written to stdout as a table:

- `llama.cpp`: logits of our GGUF file in llama.cpp against those of this program for the same file;
- `reference`: this program's logits of the file against the reference implementation's in float32 on the unquantised weights;
- `llama/ref`: llama.cpp's logits against the reference's: how much of the difference is the format's;
- `packed`: whether the packed directory made from the GGUF file gives the same bits as the GGUF file itself.

LLAMA_PYTHON is a Python with llama-cpp-python. Differences are root mean squares over that of the logits.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import reference  # noqa: F401
import numpy as np
import tiny
import torch
from safetensors import safe_open

LAYERS, SHARED, SEED = 25, 5, 11
# What branches add to the residual streams, against a size of 1 in the tiny checkpoints: with random weights 25 layers would magnify
# the rounding of any format until nothing of the logits is left.
GAINS = {"post_attention_layernorm": 0.2, "post_feedforward_layernorm": 0.2, "post_laurel_norm": 0.2, "post_per_layer_input_norm": 0.2,
         "prediction_coefs": 0.3, "correction_coefs": 0.3}
IDS = [2] + [int(i) for i in torch.randint(100, tiny.TEXT_VOCABULARY, (95,), generator=torch.Generator().manual_seed(3))]


def configuration() -> dict:
    kinds = ["full_attention" if (i + 1) % 5 == 0 else "sliding_attention" for i in range(LAYERS)]
    return {
        "architectures": ["Gemma3nForCausalLM"], "model_type": "gemma3n_text", "dtype": "bfloat16",
        "vocab_size": tiny.TEXT_VOCABULARY + tiny.VISION_VOCABULARY + tiny.AUDIO_VOCABULARY,
        "vocab_size_per_layer_input": tiny.TEXT_VOCABULARY, "hidden_size": 256, "hidden_size_per_layer_input": 256,
        "num_hidden_layers": LAYERS, "intermediate_size": 1024, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
        "num_kv_shared_layers": SHARED, "layer_types": kinds, "sliding_window": 32, "laurel_rank": 64,
        "activation_sparsity_pattern": [0.95] * 10 + [0.0] * (LAYERS - 10), "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 1024, "rope_parameters": {
            "full_attention": {"rope_theta": 1000000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
        "eos_token_id": [1, tiny.END_OF_TURN], "bos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": True,
    }


def write_checkpoint(directory: Path) -> np.ndarray:
    """Writes the checkpoint and gives the reference's logits of its bfloat16 weights, computed in float32."""
    tiny.write_tokenizer("tiny", directory)
    (directory / "chat_template.jinja").write_text(tiny.CHAT_TEMPLATE)
    tiny.write_generation(directory)
    config = configuration()
    tiny.write_json(directory / "config.json", config)
    model = tiny.build(config)
    weights = {name: (value * GAINS.get(name.split(".")[-2], 1)).bfloat16() for name, value in tiny.random_weights(model, SEED).items()}
    tiny.write_shards(directory, weights, 2)
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].numpy()


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square of the difference over that of `b`."""
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2) / np.mean(b.astype(np.float64) ** 2)))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--llama", required=True)
    arguments.add_argument("--types", default="f32,f16,bf16,q8_0,q6_k,q5_k_m,q5_0,q4_k_m,q4_0")
    arguments.add_argument("--work")
    options = arguments.parse_args()
    work = Path(options.work or tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint"
    expected = write_checkpoint(checkpoint)
    prompt = work / "prompt.json"
    prompt.write_text(json.dumps({"input_ids": IDS}))
    (work / "ids.json").write_text(json.dumps(IDS))

    def run(*words):
        return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout

    def ours(model: Path) -> np.ndarray:
        out = work / "trace.safetensors"
        run(options.program, "trace", model, "--messages", prompt, "--output", out, "--max-tokens", 0)
        with safe_open(out, "np") as file:
            return file.get_tensor("logits")

    print(f"bfloat16 checkpoint opened here against the reference: {relative(ours(checkpoint), expected):.2e}")
    print("type      bytes      llama.cpp  reference  llama/ref  packed")
    for kind in options.types.split(","):
        gguf, packed = work / f"{kind}.gguf", work / f"{kind}-packed"
        run(options.program, "convert", checkpoint, gguf, "--type", kind, "--force")
        run(options.program, "convert", gguf, packed, "--force", *(["--type", kind] if kind in ("f32", "f16", "bf16") else []))
        llama_ids = run(options.llama, Path(__file__).parent / "llama_logits.py", gguf, work / "ids.json", work / "llama.npy")
        theirs, from_gguf, from_packed = np.load(work / "llama.npy"), ours(gguf), ours(packed)
        verdict = "same bits" if np.array_equal(from_gguf, from_packed) else f"differs {relative(from_packed, from_gguf):.1e}"
        print(f"{kind:<8} {gguf.stat().st_size:>9}  {relative(theirs, from_gguf):>9.2e}  {relative(from_gguf, expected):>9.2e}  "
              f"{relative(theirs, expected):>9.2e}  {verdict}", flush=True)
    print("llama.cpp's ids of a text with special tokens:", llama_ids.strip())
    if not options.work:
        shutil.rmtree(work)


main()
