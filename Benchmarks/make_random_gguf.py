#!/usr/bin/env python3
"""Writes a full-size Gemma 3n GGUF file with random weights, in the types that llama.cpp's quantize chooses.

    python3 Benchmarks/make_random_gguf.py OUT [e2b|e4b] [q4_0|q4_k_m|q8_0] [--seed 0]

For measurements of speed, memory and loading: text model only, metadata as llama.cpp's converter writes it, a synthetic
vocabulary of 262,144 pieces. Needs numpy and gguf. Random blocks come from one pool for each type whose length no row
divides, so that no two rows of a matrix are alike and the disk sets the pace; a matrix product of normalised inputs gives
normally distributed outputs of about unit size, as the statistics behind the sparse layers assume.
"""
import argparse
import math
import os
import sys
import time
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from make_random_checkpoint import HIDDEN, PLE, VARIANTS, configuration, make_vocabulary

VOCABULARY = 262144
CHAT_TEMPLATE = Path(__file__).parent.parent / "Sources/CDemoModel/Model/chat_template.jinja"


def more_bits(layer, layers):
    """The layers that the mixed K types give more bits (first and last eighth, every third between)."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def tensors(layers, width, kind):
    """Name, shape and type of every tensor, in the order of a converted file."""
    plain = {"q4_0": Type.Q4_0, "q4_k_m": Type.Q4_K, "q8_0": Type.Q8_0}[kind]
    table = Type.Q8_0 if kind == "q8_0" else Type.Q6_K
    yield "altup_proj.weight", [3, HIDDEN, HIDDEN], Type.F16
    yield "altup_unembd_proj.weight", [3, HIDDEN, HIDDEN], Type.F16
    yield "output_norm.weight", [HIDDEN], Type.F32
    yield "per_layer_model_proj.weight", [layers * PLE, HIDDEN], Type.F16
    yield "per_layer_proj_norm.weight", [PLE], Type.F32
    yield "per_layer_token_embd.weight", [VOCABULARY, layers * PLE], table
    yield "token_embd.weight", [VOCABULARY, HIDDEN], table
    for i in range(layers):
        better = Type.Q6_K if kind == "q4_k_m" and more_bits(i, layers) else plain
        for name, shape, type in [
            ("altup_correct_coef.weight", [4, 4], Type.F32),
            ("altup_correct_scale.weight", [HIDDEN], Type.F32),
            ("altup_predict_coef.weight", [16, 4], Type.F32),
            ("altup_router.weight", [4, HIDDEN], Type.F16),
            ("altup_router_norm.weight", [HIDDEN], Type.F32),
            ("attn_k.weight", [512, HIDDEN], plain),
            ("attn_k_norm.weight", [256], Type.F32),
            ("attn_norm.weight", [HIDDEN], Type.F32),
            ("attn_output.weight", [HIDDEN, 2048], plain),
            ("attn_q.weight", [2048, HIDDEN], plain),
            ("attn_q_norm.weight", [256], Type.F32),
            ("attn_v.weight", [512, HIDDEN], better),
            ("ffn_down.weight", [HIDDEN, width], better),
            ("ffn_gate.weight", [width, HIDDEN], plain),
            ("ffn_norm.weight", [HIDDEN], Type.F32),
            ("ffn_up.weight", [width, HIDDEN], plain),
            ("inp_gate.weight", [PLE, HIDDEN], plain),
            ("laurel_l.weight", [64, HIDDEN], Type.F16),
            ("laurel_post_norm.weight", [HIDDEN], Type.F32),
            ("laurel_r.weight", [HIDDEN, 64], Type.F16),
            ("post_attention_norm.weight", [HIDDEN], Type.F32),
            ("post_ffw_norm.weight", [HIDDEN], Type.F32),
            ("post_norm.weight", [HIDDEN], Type.F32),
            ("proj.weight", [HIDDEN, PLE], plain),
        ]:
            yield f"blk.{i}.{name}", shape, type


class Pool:
    """Blocks of random numbers, one run for each type, mean and deviation."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.runs = {}

    def run(self, type, mean, deviation):
        key = (type, mean, deviation)
        if key not in self.runs:
            self.runs[key] = self.make(type, mean, deviation).reshape(-1).view(np.uint8)
        return self.runs[key]

    def make(self, type, mean, deviation):
        if type in (Type.F32, Type.F16):
            values = self.random.standard_normal(1_000_003, dtype=np.float32) * np.float32(deviation) + np.float32(mean)
            return values if type == Type.F32 else values.astype(np.float16)
        if type in (Type.Q4_0, Type.Q8_0):  # real quantisation of normal values
            count = 65_537
            values = self.random.standard_normal((count, 32), dtype=np.float32) * np.float32(deviation)
            return gguf.quants.quantize(values, type)
        count = 32_771
        if type == Type.Q6_K:  # w = d * scale * (q - 32), q uniform: a deviation of 18.47 steps
            scales = self.random.integers(32, 64, (count, 16), dtype=np.int8)
            d = np.full((count, 1), deviation / 18.47 / 48.4, np.float16)
            quants = self.random.integers(0, 256, (count, 192), dtype=np.uint8)
            return np.concatenate([quants, scales.view(np.uint8), d.view(np.uint8)], axis=1)
        assert type == Type.Q4_K  # w = d * scale * q - 7.5 d * scale, q uniform: a deviation of 4.61 steps
        scales = self.random.integers(32, 64, (count, 8), dtype=np.uint8)
        packed = np.empty((count, 12), np.uint8)
        packed[:, 0:4] = (scales[:, 0:4] & 63) | (scales[:, 4:8] >> 4 << 6)
        packed[:, 4:8] = packed[:, 0:4]
        packed[:, 8:12] = (scales[:, 4:8] & 15) | (scales[:, 4:8] & 15) << 4
        d = np.float16(deviation / 4.61 / 48.4)
        ds = np.tile(np.array([d, np.float16(7.5) * d], np.float16), (count, 1))
        quants = self.random.integers(0, 256, (count, 128), dtype=np.uint8)
        return np.concatenate([ds.view(np.uint8), packed, quants], axis=1)


class Values:
    """The bytes of one tensor, cut from a run again and again; looks enough like an array for `GGUFWriter`."""

    def __init__(self, run, nbytes, start):
        self.run, self.nbytes, self.start = run, nbytes, start

    def tofile(self, file):
        at, left = self.start, self.nbytes
        while left:
            piece = self.run[at:at + left]
            file.write(piece.data)
            left -= len(piece)
            at = 0


def metadata(writer, kind, layers, width, shared):
    c = configuration(layers, width, shared)["text_config"]
    writer.add_name("Random Gemma 3n")
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_key_length(256)
    writer.add_value_length(256)
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_rope_freq_base_swa(c["rope_local_base_freq"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_final_logit_softcapping(c["final_logit_softcapping"])
    writer.add_sliding_window(c["sliding_window"])
    writer.add_sliding_window_pattern([t == "sliding_attention" for t in c["layer_types"]])
    writer.add_altup_active_idx(0)
    writer.add_altup_num_inputs(4)
    writer.add_embedding_length_per_layer_input(PLE)
    writer.add_shared_kv_layers(shared)
    # The quantile of the normal distribution for 0.95 and for 0.
    writer.add_activation_sparsity_scale([1.6448535919189453 if s else -math.inf for s in c["activation_sparsity_pattern"]])
    writer.add_file_type({"q4_0": 2, "q4_k_m": 15, "q8_0": 7}[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

    vocabulary, _, special, newlines = make_vocabulary(VOCABULARY)
    pieces = sorted(vocabulary, key=vocabulary.get)
    types = [gguf.TokenType.NORMAL] * VOCABULARY
    for i, piece in enumerate(pieces):
        if i in newlines:
            types[i] = gguf.TokenType.USER_DEFINED
        elif i in special:
            types[i] = gguf.TokenType.UNKNOWN if piece == "<unk>" else gguf.TokenType.CONTROL
        elif len(piece) == 6 and piece.startswith("<0x"):
            types[i] = gguf.TokenType.BYTE
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.encode() for piece in pieces])
    writer.add_token_scores([0.0 if t != gguf.TokenType.NORMAL else float(-i) for i, t in enumerate(types)])
    writer.add_token_types([int(t) for t in types])
    for name, token in [("bos", 2), ("eos", 106), ("unk", 3), ("pad", 0)]:
        getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if CHAT_TEMPLATE.exists():
        writer.add_chat_template(CHAT_TEMPLATE.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("variant", choices=VARIANTS, nargs="?", default="e2b")
    parser.add_argument("kind", choices=["q4_0", "q4_k_m", "q8_0"], nargs="?", default="q4_0")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    variant, start = VARIANTS[arguments.variant], time.time()
    partial = arguments.out.with_name(arguments.out.name + ".partial")
    writer = gguf.GGUFWriter(partial, "gemma3n")
    metadata(writer, arguments.kind, **variant)
    pool, plan, place = Pool(arguments.seed), [], 0
    for name, shape, type in tensors(variant["layers"], variant["width"], arguments.kind):
        if name.endswith(("norm.weight", "correct_scale.weight")):
            run = pool.run(type, 1.0, 0.1)
        elif "token_embd" in name:
            run = pool.run(type, 0.0, 0.02)
        else:
            run = pool.run(type, 0.0, shape[-1] ** -0.5)
        length, size = gguf.GGML_QUANT_SIZES[type]
        nbytes = math.prod(shape) // length * size
        writer.add_tensor_info(name, shape, np.dtype(np.float32), nbytes, raw_dtype=type)
        place = (place + 100_003) % (len(run) // size)
        plan.append(Values(run, nbytes, place * size))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for values in plan:
        writer.write_tensor_data(values)
    writer.close()
    os.replace(partial, arguments.out)
    total = sum(values.nbytes for values in plan)
    print(f"{arguments.out}: {len(plan)} tensors, {total / 1e9:.2f} GB, {time.time() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
