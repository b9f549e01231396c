"""GGUF files of the tiny checkpoints, written by llama.cpp's own converter and quantiser, and what the reference computes with them.

    pip download --no-deps llama-cpp-python==0.3.36 && tar xf llama_cpp_python-0.3.36.tar.gz
    python Oracle/gguf_files.py llama_cpp_python-0.3.36/vendor/llama.cpp              # Tests/Fixtures/gguf
    python Oracle/gguf_files.py llama_cpp_python-0.3.36/vendor/llama.cpp --all DIR    # every type, for GEMMA3N_GGUF=DIR swift test

Quantising needs the llama-cpp-python package, conversion only its source. The reference reads a file's tensors through the `gguf`
package's own dequantisation, so that what is compared is the arithmetic and not the loss.
"""

import argparse
import ctypes
import json
import subprocess
import sys
from pathlib import Path

import reference
import numpy as np
import tiny
import tokenizer
import torch
from gguf import GGUFReader, GGUFWriter, GGMLQuantizationType, quants
from safetensors.torch import load_file, save_file
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig

FIXTURES = Path(__file__).resolve().parent.parent / "Tests" / "Fixtures"
# llama.h's numbers of whole-file types.
FILE_TYPES = {"q4_0": 2, "q8_0": 7, "q5_0": 8, "q4_k_s": 14, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}

# The converter of 2026 has lost the name of one tensor of Gemma 3n's sound encoder, and stops there. This gives it back.
CONVERT = """
import sys, runpy
sys.path[:0] = [{llama!r}, {llama!r} + "/gguf-py"]
from gguf import tensor_mapping as m, constants as c
names = m.TensorNameMap.mappings_cfg if c.MODEL_TENSOR.A_ENC_CONV1D_NORM in m.TensorNameMap.mappings_cfg else m.TensorNameMap.block_mappings_cfg
names[c.MODEL_TENSOR.A_ENC_CONV1D_NORM] += ("model.audio_tower.subsample_conv_projection.conv_{{bid}}.norm",)
sys.argv = ["convert_hf_to_gguf.py"] + {arguments!r}
runpy.run_path({llama!r} + "/convert_hf_to_gguf.py", run_name="__main__")
"""


def convert(llama: Path, checkpoint: Path, output: Path, kind: str, projector: bool = False) -> None:
    arguments = [str(checkpoint), "--outtype", kind, "--outfile", str(output)] + (["--mmproj"] if projector else [])
    code = CONVERT.format(llama=str(llama.resolve()), arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the converter failed for {checkpoint}:\n{done.stderr[-3000:]}")


def quantize(source: Path, output: Path, kind: str) -> None:
    """llama.cpp's quantiser, as `llama-quantize` calls it."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = FILE_TYPES[kind], 1
    if llama_cpp.llama_model_quantize(str(source).encode(), str(output).encode(), ctypes.byref(parameters)) != 0:
        raise SystemExit(f"the quantiser failed for {source}, {kind}")


# A text model whose rows are whole blocks.

def blocks_configuration(width: int) -> dict:
    """`width` 64 gives rows of whole blocks of 32, 256 of whole blocks of 256."""
    return {
        "architectures": ["Gemma3nForCausalLM"], "model_type": "gemma3n_text", "dtype": "float32", "vocab_size": 640,
        "vocab_size_per_layer_input": 600, "hidden_size": width, "hidden_size_per_layer_input": width if width == 256 else width // 2, "num_hidden_layers": 4,
        "intermediate_size": 4 * width, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": width // 4,
        "num_kv_shared_layers": 1, "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        "activation_sparsity_pattern": [0.9, 0.5, 0.0, 0.0], "sliding_window": 9, "laurel_rank": 32, "altup_num_inputs": 4,
        "altup_active_idx": 0, "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 1024,
        "rope_parameters": {"full_attention": {"rope_theta": 500000.0, "rope_type": "default"},
                            "sliding_attention": {"rope_theta": 2000.0, "rope_type": "default"}},
        "eos_token_id": 1, "bos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": True,
    }


def write_blocks(directory: Path, width: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tiny.write_tokenizer("tiny-text", directory)
    configuration = blocks_configuration(width)
    tiny.write_json(directory / "config.json", configuration)
    (directory / "chat_template.jinja").write_text(tiny.CHAT_TEMPLATE)
    tiny.write_shards(directory, tiny.random_weights(tiny.build(configuration), 5), 1)


def gguf_weights(path: Path, names: dict[str, tuple[str, int | None]]) -> dict[str, torch.Tensor]:
    """The weights of a text model under the reference's names, dequantised by the `gguf` package."""
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    weights = {}
    for name, (stored, part) in names.items():
        tensor = tensors[stored]
        values = quants.dequantize(tensor.data, tensor.tensor_type).reshape([int(n) for n in reversed(tensor.shape)])
        weights[name] = torch.from_numpy(np.array(values if part is None else values[part]))
    return weights


def stored_names(layers: int, own: int) -> dict[str, tuple[str, int | None]]:
    """`own` layers have keys and values of their own. Where the converter puts every tensor: written out a second time, so that a mistake in the program's table is seen."""
    names = {"model.embed_tokens.weight": ("token_embd.weight", None), "model.norm.weight": ("output_norm.weight", None),
             "model.embed_tokens_per_layer.weight": ("per_layer_token_embd.weight", None),
             "model.per_layer_model_projection.weight": ("per_layer_model_proj.weight", None),
             "model.per_layer_projection_norm.weight": ("per_layer_proj_norm.weight", None)}
    for i in range(3):
        names[f"model.altup_projections.{i}.weight"] = ("altup_proj.weight", i)
        names[f"model.altup_unembed_projections.{i}.weight"] = ("altup_unembd_proj.weight", i)
    parts = {
        "input_layernorm.weight": "attn_norm", "post_attention_layernorm.weight": "post_attention_norm",
        "pre_feedforward_layernorm.weight": "ffn_norm", "post_feedforward_layernorm.weight": "post_ffw_norm",
        "self_attn.q_proj.weight": "attn_q", "self_attn.k_proj.weight": "attn_k", "self_attn.v_proj.weight": "attn_v",
        "self_attn.o_proj.weight": "attn_output", "self_attn.q_norm.weight": "attn_q_norm", "self_attn.k_norm.weight": "attn_k_norm",
        "mlp.gate_proj.weight": "ffn_gate", "mlp.up_proj.weight": "ffn_up", "mlp.down_proj.weight": "ffn_down",
        "altup.correct_output_scale": "altup_correct_scale", "altup.correction_coefs.weight": "altup_correct_coef",
        "altup.prediction_coefs.weight": "altup_predict_coef", "altup.modality_router.weight": "altup_router",
        "altup.router_norm.weight": "altup_router_norm", "laurel.linear_left.weight": "laurel_l", "laurel.linear_right.weight": "laurel_r",
        "laurel.post_laurel_norm.weight": "laurel_post_norm", "per_layer_input_gate.weight": "inp_gate",
        "per_layer_projection.weight": "proj", "post_per_layer_input_norm.weight": "post_norm",
    }
    for layer in range(layers):
        for name, stored in parts.items():
            if layer >= own and stored in ("attn_k", "attn_v", "attn_k_norm"):
                continue
            names[f"model.layers.{layer}.{name}"] = (f"blk.{layer}.{stored}.weight", None)
    return names


def logits(configuration: dict, weights: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    model = Gemma3nForCausalLM(Gemma3nTextConfig(**configuration)).float().eval()
    rows = configuration["vocab_size_per_layer_input"]
    weights = dict(weights)
    weights["model.embed_tokens_per_layer.weight"] = weights["model.embed_tokens_per_layer.weight"][:rows]
    missing, unexpected = model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    unknown = [name for name in missing if name != "lm_head.weight" and "rotary" not in name]
    if unknown:
        raise SystemExit(f"no weights for {unknown}")
    model.tie_weights()
    with torch.no_grad():
        return model(input_ids=ids[None]).logits[0]


def record(checkpoint: Path, files: list[Path], output: Path) -> None:
    """The reference's logits of the last positions, with the checkpoint's weights and with those of every file."""
    configuration = json.loads((checkpoint / "config.json").read_text())
    generator = torch.Generator().manual_seed(3)
    ids = torch.cat([torch.tensor([2]), torch.randint(300, 600, (23,), generator=generator)])
    layers = configuration["num_hidden_layers"]
    names = stored_names(layers, layers - configuration["num_kv_shared_layers"])
    original = logits(configuration, load_file(checkpoint / "model.safetensors"), ids)
    tensors = {"input_ids": ids, "original": original[-8:].contiguous()}
    for file in files:
        result = logits(configuration, gguf_weights(file, names), ids)
        kind = file.stem.split("-")[-1]
        tensors[kind] = result[-8:].contiguous()
        loss = (result - original)[-8:].abs().max().item()
        print(f"{file.name}: {file.stat().st_size} bytes, logits within {loss:.3f} of the checkpoint's (standard deviation {original.std():.1f})")
    metadata = {"script": "Oracle/gguf_files.py"} | reference.versions()
    save_file(tensors, output, metadata=metadata)


def write_tensors(output: Path, expected: Path) -> None:
    """One small tensor of every type, quantised by llama.cpp's own routines, and its values by the `gguf` package."""
    import llama_cpp

    library = llama_cpp.llama_cpp._lib
    try:
        encode = library.ggml_quantize_chunk
    except AttributeError:
        found = next(Path(llama_cpp.__file__).parent.rglob("libggml-base.so*"))
        encode = ctypes.CDLL(str(found)).ggml_quantize_chunk
    encode.restype = ctypes.c_size_t
    generator = np.random.default_rng(9)
    values = (generator.standard_normal((3, 512)) * generator.uniform(0.1, 3, (3, 1))).astype(np.float32)
    values[1, 32:64] = 0
    writer = GGUFWriter(output, "none")
    tensors = {}
    for kind in ("Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K"):
        number = GGMLQuantizationType[kind]
        block, size = quants.GGML_QUANT_SIZES[number]
        data = np.zeros((3, 512 // block * size), dtype=np.uint8)
        source = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        encode(ctypes.c_int(number), source, data.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0), ctypes.c_int64(3), ctypes.c_int64(512), None)
        writer.add_tensor(kind.lower(), data, raw_dtype=number)
        tensors[kind.lower()] = torch.from_numpy(np.array(quants.dequantize(data, number)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(tensors, expected, metadata={"script": "Oracle/gguf_files.py"} | reference.versions())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("llama", type=Path, help="llama.cpp's source")
    arguments.add_argument("--all", type=Path, help="write files of every type there")
    options = arguments.parse_args()
    output = options.all or FIXTURES / "gguf"
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = FIXTURES / "checkpoints"
    convert(options.llama, checkpoints / "tiny-bf16", output / "tiny-bf16.gguf", "bf16")
    convert(options.llama, checkpoints / "tiny-bf16", output / "mmproj-tiny-bf16.gguf", "bf16", projector=True)
    write_tensors(output / "tensors.gguf", output / "tensors.safetensors")
    if not options.all:
        import tempfile

        with tempfile.TemporaryDirectory() as temporary:
            blocks = Path(temporary) / "blocks"
            write_blocks(blocks, 64)
            convert(options.llama, blocks, Path(temporary) / "blocks-f16.gguf", "f16")
            quantize(Path(temporary) / "blocks-f16.gguf", output / "blocks-q4_0.gguf", "q4_0")
            record(blocks, [output / "blocks-q4_0.gguf"], output / "blocks.safetensors")
        return
    for kind in ("f32", "f16"):
        convert(options.llama, checkpoints / "tiny", output / f"tiny-{kind}.gguf", kind)
    convert(options.llama, checkpoints / "tiny", output / "mmproj-tiny-f32.gguf", "f32", projector=True)
    for width in (64, 256):
        blocks = output / f"blocks{width}"
        write_blocks(blocks, width)
        files = []
        for kind in ("f32", "f16", "bf16", "q8_0"):
            files.append(output / f"blocks{width}-{kind}.gguf")
            convert(options.llama, blocks, files[-1], kind)
        for kind in ["q4_0", "q5_0"] + (["q4_k_m", "q5_k_m", "q6_k"] if width == 256 else []):
            files.append(output / f"blocks{width}-{kind}.gguf")
            quantize(output / f"blocks{width}-f32.gguf", files[-1], kind)
        record(blocks, files, output / f"blocks{width}.safetensors")


if __name__ == "__main__":
    main()
