"""Slices of a nested model: cut here as Google's MatFormer Lab cuts them, and computed by the reference.

    python Oracle/make_fixtures.py slices                                  writes Tests/Fixtures/slices
    python Oracle/slices.py --program .build/release/gemma3n [--count 20]   checks `gemma3n slice`

The check writes a random float32 checkpoint like E4B (35 layers), lets the program slice it at random, compares every tensor with the ones
cut here, and lets the reference open both the program's files and those cut here: their logits must be the same, and the program's own,
of the sliced files and of views of the whole, must agree to float32 rounding.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import reference
import tiny
import torch
from safetensors.torch import load_file, save_file

LAYERS, OWNERS, SPARSE = 35, 20, 10


def configuration(vocabulary: int = 64, hidden: int = 16, sparse_width: int = 256, width: int = 96) -> dict:
    """E4B's layers, kinds of attention and sparsity, everything else tiny. Sparse layers are wider than others: with one or two units above
    the cutoff, the norm that follows would magnify their rounding."""
    part = hidden // 2
    return {
        "architectures": ["Gemma3nForCausalLM"], "model_type": "gemma3n_text", "dtype": "float32", "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary - 8, "hidden_size": hidden, "hidden_size_per_layer_input": part, "num_hidden_layers": LAYERS,
        "intermediate_size": [sparse_width if i < SPARSE else width for i in range(LAYERS)], "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": part, "num_kv_shared_layers": LAYERS - OWNERS,
        "sliding_window": 8, "laurel_rank": part // 2, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0,
        "layer_types": ["full_attention" if i % 5 == 4 else "sliding_attention" for i in range(LAYERS)],
        "activation_sparsity_pattern": [0.95 if i < SPARSE else 0.0 for i in range(LAYERS)],
        "rope_parameters": {"full_attention": {"rope_theta": 1000000.0, "rope_type": "default"},
                            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
        "eos_token_id": [1, tiny.END_OF_TURN], "bos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": True,
    }


def random_weights(config: dict, seed: int) -> dict[str, torch.Tensor]:
    """Those of the other tiny checkpoints; over so many layers the feed-forward blocks add less, again for the sake of rounding."""
    weights = tiny.random_weights(tiny.build(config), seed)
    return {name: value / 4 if "post_feedforward_layernorm" in name else value for name, value in weights.items()}


def cut(weights: dict[str, torch.Tensor], config: dict, widths: list[int], skipped) -> tuple[dict[str, torch.Tensor], dict]:
    """The checkpoint of a slice. `widths`: one for every layer of the whole."""
    kept = [i for i in range(config["num_hidden_layers"]) if i not in skipped]
    number = {old: new for new, old in enumerate(kept)}
    layers, part = config["num_hidden_layers"], config["hidden_size_per_layer_input"]
    result = {}
    for name, tensor in weights.items():
        if ".layers." in name:
            before, after = name.split(".layers.")
            old, rest = after.split(".", 1)
            if int(old) not in number:
                continue
            name, width = f"{before}.layers.{number[int(old)]}.{rest}", widths[int(old)]
            if rest.startswith(("mlp.gate_proj", "mlp.up_proj")):
                tensor = tensor[:width, :]
            elif rest.startswith("mlp.down_proj"):
                tensor = tensor[:, :width]
        elif "embed_tokens_per_layer" in name:
            tensor = tensor.reshape(-1, layers, part)[:, kept, :].reshape(-1, len(kept) * part)
        elif "per_layer_model_projection" in name:
            tensor = tensor.reshape(layers, part, -1)[kept].reshape(len(kept) * part, -1)
        result[name] = tensor.contiguous()
    small = config | {
        "num_hidden_layers": len(kept), "num_kv_shared_layers": config["num_kv_shared_layers"] - (layers - len(kept)),
        "intermediate_size": [widths[i] for i in kept], "layer_types": [config["layer_types"][i] for i in kept],
        "activation_sparsity_pattern": [config["activation_sparsity_pattern"][i] for i in kept]}
    return result, small


@torch.no_grad()
def logits(weights: dict[str, torch.Tensor], config: dict, ids: list[int], dtype=torch.float32) -> torch.Tensor:
    model = tiny.build(config)
    missing = model.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys and missing.missing_keys in ([], ["lm_head.weight"]), missing
    model.tie_weights()
    model.config._attn_implementation = "eager"
    return model.to(dtype)(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def random_slice(generator: random.Random, config: dict) -> tuple[list[int], list[int]]:
    widths = [generator.randint(width // 2, width) for width in config["intermediate_size"]]
    return widths, sorted(generator.sample(range(OWNERS, LAYERS), generator.randint(0, LAYERS - OWNERS)))


def record(output: Path, seed: int = 3) -> None:
    """A checkpoint and the logits of some of its slices."""
    output.mkdir(parents=True, exist_ok=True)
    config = configuration()
    weights = random_weights(config, seed)
    tiny.write_json(output / "config.json", config)
    metadata = {"script": "Oracle/slices.py", "seed": str(seed)} | reference.versions()
    save_file(weights, output / "model.safetensors", metadata=metadata | {"format": "pt"})
    generator = random.Random(seed)
    ids = [2] + [generator.randrange(3, 64) for _ in range(23)]
    full = config["intermediate_size"]
    half = [width // 2 for width in full]
    slices = [(full, []), (half, range(20, 25)), (half, range(OWNERS, LAYERS))] + [random_slice(generator, config) for _ in range(5)]
    tensors = {"input_ids": torch.tensor(ids, dtype=torch.int32)}
    for index, (widths, skipped) in enumerate(slices):
        small = cut(weights, config, widths, skipped)
        tensors[f"logits.{index}"] = logits(*small, ids)
        exact = logits({name: value.double() for name, value in small[0].items()}, small[1], ids, torch.float64)
        print(f"slice {index}: standard deviation {tensors[f'logits.{index}'].std():.2f}, "
              f"float32 against float64 {(tensors[f'logits.{index}'] - exact).abs().max():.2g}")
    save_file(tensors, output / "logits.safetensors", metadata=metadata)
    tiny.write_json(output / "slices.json", [{"widths": [width for i, width in enumerate(widths) if i not in skipped], "skip_layers": list(skipped)}
                                             for widths, skipped in slices])


# The program.

def write_checkpoint(directory: Path, seed: int) -> None:
    tiny.write_tokenizer("tiny", directory)
    (directory / "chat_template.jinja").write_text(tiny.CHAT_TEMPLATE)
    config = configuration(808, 64, 768, 256)
    tiny.write_json(directory / "config.json", config)
    tiny.write_shards(directory, random_weights(config, seed), 3)


def run(*arguments) -> str:
    outcome = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    if outcome.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}\n{outcome.stderr}")
    return outcome.stdout


def read_weights(directory: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(directory.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def main() -> int:
    from record import Reference
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    generator, failures, largest = random.Random(options.seed), 0, [0.0, 0.0]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        whole = folder / "whole"
        write_checkpoint(whole, options.seed)
        weights, config = read_weights(whole), json.loads((whole / "config.json").read_text())
        ids = [2] + [generator.randrange(11, 700) for _ in range(31)]
        tiny.write_json(folder / "ids.json", {"input_ids": ids})
        for index in range(options.count):
            widths, skipped = random_slice(generator, config)
            file, output = folder / f"slice-{index}.json", folder / f"slice-{index}"
            tiny.write_json(file, {"widths": widths, "skip_layers": skipped})
            run(options.program, "slice", whole, output, "--slice", file)
            expected, small = cut(weights, config, widths, skipped)
            written = read_weights(output)
            same = written.keys() == expected.keys() and all(torch.equal(written[name], expected[name]) for name in expected)
            opened = Reference(output).forward({"input_ids": torch.tensor([ids])})
            same_logits = torch.equal(opened, logits(expected, small, ids))
            exact = logits({name: value.double() for name, value in expected.items()}, small, ids, torch.float64)
            rounding = float((opened - exact).abs().max())
            differences = []
            for arguments in ([output], [whole, "--slice", file]):
                run(options.program, "trace", *arguments, "--messages", folder / "ids.json", "--output", folder / "trace.safetensors")
                differences.append(float((load_file(folder / "trace.safetensors")["logits"] - opened).abs().max()))
            largest = [max(pair) for pair in zip(largest, differences)]
            # float32 sums in another order, through 20 to 35 layers, at a standard deviation of about 6
            good = same and same_logits and max(differences) <= 2e-3
            failures += not good
            print(f"slice {index}: {LAYERS - len(skipped)} layers; tensors {'the same' if same else 'DIFFER'}, the reference's logits "
                  f"{'the same' if same_logits else 'DIFFER'}; the program's differ by {differences[0]:.2g} (file), {differences[1]:.2g} (view), "
                  f"the reference from float64 by {rounding:.2g}{'' if good else '  FAILED'}", flush=True)
    print(f"{options.count - failures} of {options.count} slices agree; largest difference {largest[0]:.2g} (file), {largest[1]:.2g} (view)")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
