#!/usr/bin/env python3
"""Writes a full-size Gemma 3n checkpoint with random bfloat16 weights: every tensor of a release, none of its knowledge.

    python3 Benchmarks/make_random_checkpoint.py OUT [--variant e2b|e4b] [--tokenizer FILE] [--shard-gb 4] [--seed 0]

For measurements of speed, memory and loading: shapes, names, shards and config.json are those of the released files
(10.9 GB for e2b). Needs numpy. Random values come from a few blocks that repeat, so the disk sets the pace. Without --tokenizer
a synthetic tokenizer.json of 262,400 entries is written: bytes, characters and every short combination of letters.
"""
import argparse
import json
import math
import shutil
import sys
import time
from pathlib import Path

import numpy as np

VARIANTS = {"e2b": dict(layers=30, width=8192, shared=10), "e4b": dict(layers=35, width=16384, shared=15),
            "half": dict(layers=15, width=8192, shared=5)}  # half of E2B's layers: for engines that need more memory than there is
HIDDEN, VOCABULARY, PLE_VOCABULARY, PLE = 2048, 262400, 262144, 256


def text_tensors(layers, width):
    yield "embed_tokens.weight", [VOCABULARY, HIDDEN]
    yield "embed_tokens_per_layer.weight", [PLE_VOCABULARY, layers * PLE]
    yield "per_layer_model_projection.weight", [layers * PLE, HIDDEN]
    yield "per_layer_projection_norm.weight", [PLE]
    for i in range(3):
        yield f"altup_projections.{i}.weight", [HIDDEN, HIDDEN]
        yield f"altup_unembed_projections.{i}.weight", [HIDDEN, HIDDEN]
    yield "norm.weight", [HIDDEN]
    for i in range(layers):
        for name, shape in {
            "input_layernorm.weight": [HIDDEN],
            "post_attention_layernorm.weight": [HIDDEN],
            "pre_feedforward_layernorm.weight": [HIDDEN],
            "post_feedforward_layernorm.weight": [HIDDEN],
            "self_attn.q_proj.weight": [2048, HIDDEN],
            "self_attn.k_proj.weight": [512, HIDDEN],  # also in the layers that share K and V and ignore theirs
            "self_attn.v_proj.weight": [512, HIDDEN],
            "self_attn.o_proj.weight": [HIDDEN, 2048],
            "self_attn.q_norm.weight": [256],
            "self_attn.k_norm.weight": [256],
            "mlp.gate_proj.weight": [width, HIDDEN],
            "mlp.up_proj.weight": [width, HIDDEN],
            "mlp.down_proj.weight": [HIDDEN, width],
            "altup.correct_output_scale": [HIDDEN],
            "altup.correction_coefs.weight": [4, 4],
            "altup.prediction_coefs.weight": [16, 4],
            "altup.modality_router.weight": [4, HIDDEN],
            "altup.router_norm.weight": [HIDDEN],
            "laurel.linear_left.weight": [64, HIDDEN],
            "laurel.linear_right.weight": [HIDDEN, 64],
            "laurel.post_laurel_norm.weight": [HIDDEN],
            "per_layer_input_gate.weight": [PLE, HIDDEN],
            "per_layer_projection.weight": [HIDDEN, PLE],
            "post_per_layer_input_norm.weight": [HIDDEN],
        }.items():
            yield f"layers.{i}.{name}", shape


def vision_tensors():
    yield "conv_stem.conv.weight", [64, 3, 3, 3]
    yield "conv_stem.conv.bias", [64]
    yield "conv_stem.bn.weight", [64]
    # Stage 0: edge residuals.
    for b, (inputs, expanded) in enumerate([(64, 256), (128, 512), (128, 512)]):
        block = f"blocks.0.{b}"
        yield f"{block}.conv_exp.weight", [expanded, inputs, 3, 3]
        yield f"{block}.bn1.weight", [expanded]
        yield f"{block}.conv_pwl.weight", [128, expanded, 1, 1]
        yield f"{block}.bn2.weight", [128]

    def residual(block, inputs, outputs, ratio, start=0, middle=0):
        expanded = inputs * ratio
        if start:
            yield f"{block}.dw_start.conv.weight", [inputs, 1, start, start]
            yield f"{block}.dw_start.bn.weight", [inputs]
        yield f"{block}.pw_exp.conv.weight", [expanded, inputs, 1, 1]
        yield f"{block}.pw_exp.bn.weight", [expanded]
        if middle:
            yield f"{block}.dw_mid.conv.weight", [expanded, 1, middle, middle]
            yield f"{block}.dw_mid.bn.weight", [expanded]
        yield f"{block}.pw_proj.conv.weight", [outputs, expanded, 1, 1]
        yield f"{block}.pw_proj.bn.weight", [outputs]
        yield f"{block}.layer_scale.gamma", [outputs]

    def attention(block, width, heads, size, strided):
        yield f"{block}.norm.weight", [width]
        yield f"{block}.attn.query.proj.weight", [heads * size, width, 1, 1]
        for part in ("key", "value"):
            if strided:
                yield f"{block}.attn.{part}.down_conv.weight", [width, 1, 3, 3]
                yield f"{block}.attn.{part}.norm.weight", [width]
            yield f"{block}.attn.{part}.proj.weight", [size, width, 1, 1]
        yield f"{block}.attn.output.proj.weight", [width, heads * size, 1, 1]
        yield f"{block}.layer_scale.gamma", [width]

    yield from residual("blocks.1.0", 128, 256, 6, 3, 5)
    for b, kernel in enumerate([5, 3, 5, 3]):
        yield from residual(f"blocks.1.{b + 1}", 256, 256, 4, kernel)
    yield from residual("blocks.2.0", 256, 640, 6, 5, 5)
    for b in range(7):
        yield from residual(f"blocks.2.{b + 1}", 640, 640, 4, 5)
    yield from residual("blocks.2.8", 640, 640, 1)
    for b in range(14):
        yield from attention(f"blocks.2.{9 + 2 * b}", 640, 12, 64, True)
        yield from residual(f"blocks.2.{10 + 2 * b}", 640, 640, 2)
    yield from residual("blocks.3.0", 640, 1280, 6, 5, 5)
    for b in range(19):
        yield from attention(f"blocks.3.{1 + 2 * b}", 1280, 16, 96, False)
        yield from residual(f"blocks.3.{2 + 2 * b}", 1280, 1280, 2)
    yield "msfa.ffn.pw_exp.conv.weight", [3840, 1920, 1, 1]
    yield "msfa.ffn.pw_exp.bn.weight", [3840]
    yield "msfa.ffn.pw_proj.conv.weight", [2048, 3840, 1, 1]
    yield "msfa.ffn.pw_proj.bn.weight", [2048]
    yield "msfa.norm.weight", [2048]


def audio_tensors():
    yield "subsample_conv_projection.conv_0.conv.weight", [128, 1, 3, 3]
    yield "subsample_conv_projection.conv_0.norm.weight", [128]
    yield "subsample_conv_projection.conv_1.conv.weight", [32, 128, 3, 3]
    yield "subsample_conv_projection.conv_1.norm.weight", [32]
    yield "subsample_conv_projection.input_proj_linear.weight", [1536, 1024]
    for i in range(12):
        block = f"conformer.{i}"
        for part in ("ffw_layer_start", "ffw_layer_end"):
            yield f"{block}.{part}.pre_layer_norm.weight", [1536]
            yield f"{block}.{part}.ffw_layer_1.weight", [6144, 1536]
            yield f"{block}.{part}.ffw_layer_2.weight", [1536, 6144]
            yield f"{block}.{part}.post_layer_norm.weight", [1536]
        yield f"{block}.attention.pre_attn_norm.weight", [1536]
        for part in ("q_proj", "k_proj", "v_proj"):
            yield f"{block}.attention.attn.{part}.weight", [1536, 1536]
        yield f"{block}.attention.attn.per_dim_scale", [192]
        yield f"{block}.attention.attn.relative_position_embedding.pos_proj.weight", [1536, 1536]
        yield f"{block}.attention.post.weight", [1536, 1536]
        yield f"{block}.attention.post_norm.weight", [1536]
        yield f"{block}.lconv1d.pre_layer_norm.weight", [1536]
        yield f"{block}.lconv1d.linear_start.weight", [3072, 1536]
        yield f"{block}.lconv1d.depthwise_conv1d.weight", [1536, 1, 5]
        yield f"{block}.lconv1d.conv_norm.weight", [1536]
        yield f"{block}.lconv1d.linear_end.weight", [1536, 1536]
        yield f"{block}.norm.weight", [1536]


def all_tensors(layers, width):
    yield from (("model.language_model." + name, shape) for name, shape in text_tensors(layers, width))
    yield from (("model.vision_tower.timm_model." + name, shape) for name, shape in vision_tensors())
    yield from (("model.audio_tower." + name, shape) for name, shape in audio_tensors())
    for part, size in (("vision", 2048), ("audio", 1536)):
        yield f"model.embed_{part}.embedding.weight", [128, size]
        yield f"model.embed_{part}.hard_embedding_norm.weight", [size]
        yield f"model.embed_{part}.soft_embedding_norm.weight", [size]
        yield f"model.embed_{part}.embedding_projection.weight", [HIDDEN, size]


class Values:
    """Blocks of random bfloat16 numbers, one for each scale; tensors are cut from them at different places."""

    def __init__(self, seed, size=1 << 23):
        self.normal = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
        self.blocks = {}
        self.place = 0

    def block(self, mean, deviation):
        if (mean, deviation) not in self.blocks:
            bits = (self.normal * np.float32(deviation) + np.float32(mean)).view(np.uint32)
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
            self.blocks[mean, deviation] = rounded.astype(np.uint16)
        return self.blocks[mean, deviation]

    def write(self, file, name, shape):
        count = math.prod(shape)
        if name.endswith("conv_stem.conv.bias"):
            block = np.zeros(count, np.uint16)
        elif len(shape) == 1:  # norms, scales, layer scales
            block = self.block(1.0, 0.1)
        elif "embed" in name and "projection" not in name:
            block = self.block(0.0, 0.02)
        else:  # outputs of about the size of the inputs
            block = self.block(0.0, math.prod(shape[1:]) ** -0.5)
        self.place = (self.place + 1000003) % (len(block) // 2 + 1)
        at = self.place if count > 1 else 0
        while count > 0:
            piece = block[at:at + count]
            file.write(piece.tobytes() if piece.nbytes < 4096 else piece.data)
            count -= len(piece)
            at = 0


def write_weights(out, tensors, shard_bytes, seed):
    shards, size = [[]], 0
    for name, shape in tensors:
        byte_count = 2 * math.prod(shape)
        if shards[-1] and size + byte_count > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += byte_count
    total = sum(2 * math.prod(shape) for shard in shards for _, shape in shard)
    values, weight_map, written, start = Values(seed), {}, 0, time.time()
    for number, shard in enumerate(shards, 1):
        path = out / f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for name, shape in shard:
            end = offset + 2 * math.prod(shape)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
            weight_map[name] = path.name
            offset = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb", buffering=0) as raw, open(raw.fileno(), "wb", buffering=1 << 20, closefd=False) as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name, shape in shard:
                values.write(file, name, shape)
                written += 2 * math.prod(shape)
                if sys.stderr.isatty():
                    print(f"\r{written / 1e9:6.2f} of {total / 1e9:.2f} GB", end="", file=sys.stderr)
        print(f"\r{path.name}: {len(shard)} tensors, {offset / 1e9:.2f} GB, {time.time() - start:.0f} s", file=sys.stderr)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    return total


def special_tokens(size=VOCABULARY):
    """Ids the model knows by number; everything else is vocabulary."""
    known = {0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 4: "<mask>", 105: "<start_of_turn>", 106: "<end_of_turn>",
             255999: "<start_of_image>", 256000: "<start_of_audio>", 262144: "<end_of_image>", 262145: "<image_soft_token>",
             262272: "<end_of_audio>", 262273: "<audio_soft_token>"}
    for i in range(5, 105):
        known[i] = f"<unused{i - 5}>"
    for i in range(262146, VOCABULARY):
        known.setdefault(i, f"<unused{i}>")
    return {i: text for i, text in known.items() if i < size}


def make_vocabulary(size=VOCABULARY):
    """Byte-pair vocabulary with every combination of up to four letters, in order of length: pieces by id, merges in order,
    special tokens and runs of newlines by id."""
    special = special_tokens(size)
    newlines = {107 + i: "\n" * (i + 1) for i in range(31)}
    taken = special | newlines
    letters = "▁etaoinshrdlucmfwygpbvkqxzj"
    singles = [chr(c) for c in range(33, 127)] + ["▁"] + [chr(c) for c in range(0xA1, 0x250)] + [chr(c) for c in range(0x391, 0x450)]
    def candidates():
        for byte in range(256):
            yield f"<0x{byte:02X}>", None
        for character in singles:
            yield character, None
        previous = list(letters)
        while True:
            longer = [(prefix + letter, (prefix, letter)) for prefix in previous for letter in letters]
            yield from longer
            previous = [piece for piece, _ in longer]
    vocabulary, merges, source = {}, [], candidates()
    for token_id in range(size):
        if token_id in taken:
            vocabulary[taken[token_id]] = token_id
            continue
        piece, parts = next(source)
        while piece in vocabulary:
            piece, parts = next(source)
        vocabulary[piece] = token_id
        if parts:
            merges.append(list(parts))
    return vocabulary, merges, special, newlines


def write_tokenizer(path):
    vocabulary, merges, special, newlines = make_vocabulary()
    taken = special | newlines
    added = [dict(id=i, content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=i in special)
             for i, text in sorted(taken.items())]
    space, underline = {"String": " "}, {"String": "▁"}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": space, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": space, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<bos>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": underline, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocabulary, "merges": merges},
    }
    path.write_text(json.dumps(tokenizer, ensure_ascii=False))


def configuration(layers, width, shared):
    return {
        "architectures": ["Gemma3nForConditionalGeneration"],
        "model_type": "gemma3n",
        "audio_soft_tokens_per_image": 188, "vision_soft_tokens_per_image": 256,
        "boi_token_id": 255999, "eoi_token_id": 262144, "image_token_id": 262145,
        "boa_token_id": 256000, "eoa_token_id": 262272, "audio_token_id": 262273,
        "eos_token_id": [1, 106], "initializer_range": 0.02, "torch_dtype": "bfloat16",
        "text_config": {
            "model_type": "gemma3n_text", "vocab_size": VOCABULARY, "vocab_size_per_layer_input": PLE_VOCABULARY,
            "hidden_size": HIDDEN, "hidden_size_per_layer_input": PLE, "num_hidden_layers": layers, "intermediate_size": [width] * layers,
            "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "sliding_window": 512,
            "layer_types": ["full_attention" if (i + 1) % 5 == 0 else "sliding_attention" for i in range(layers)],
            "num_kv_shared_layers": shared, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": None,
            "max_position_embeddings": 32768, "altup_num_inputs": 4, "altup_active_idx": 0, "altup_coef_clip": 120.0,
            "altup_correct_scale": True, "laurel_rank": 64, "activation_sparsity_pattern": [0.95] * min(10, layers // 3) + [0.0] * (layers - min(10, layers // 3)),
            "hidden_activation": "gelu_pytorch_tanh", "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-06,
            "attention_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": True, "torch_dtype": "bfloat16",
        },
        "vision_config": {
            "model_type": "gemma3n_vision", "architecture": "mobilenetv5_300m_enc", "hidden_size": 2048, "vocab_size": 128,
            "vocab_offset": 262144, "rms_norm_eps": 1e-06, "model_args": None, "do_pooling": False, "num_classes": 2,
        },
        "audio_config": {
            "model_type": "gemma3n_audio", "hidden_size": 1536, "vocab_size": 128, "vocab_offset": 262272, "input_feat_size": 128,
            "rms_norm_eps": 1e-06, "gradient_clipping": 1e10, "conf_num_hidden_layers": 12, "conf_num_attention_heads": 8,
            "conf_attention_chunk_size": 12, "conf_attention_context_left": 13, "conf_attention_context_right": 0,
            "conf_attention_logit_cap": 50.0, "conf_conv_kernel_size": 5, "conf_reduction_factor": 4, "conf_residual_weight": 0.5,
            "sscp_conv_channel_size": [128, 32], "sscp_conv_kernel_size": [[3, 3], [3, 3]], "sscp_conv_stride_size": [[2, 2], [2, 2]],
            "sscp_conv_group_norm_eps": 0.001,
        },
    }


OTHER_FILES = {
    "generation_config.json": {"bos_token_id": 2, "cache_implementation": "hybrid", "do_sample": True, "eos_token_id": [1, 106],
                               "pad_token_id": 0, "temperature": 1.0, "top_k": 64, "top_p": 0.95},
    "processor_config.json": {"processor_class": "Gemma3nProcessor", "audio_seq_length": 188, "image_seq_length": 256},
    "preprocessor_config.json": {
        "image_processor_type": "SiglipImageProcessorFast", "do_convert_rgb": None, "do_resize": True, "size": {"height": 768, "width": 768},
        "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "feature_extractor_type": "Gemma3nAudioFeatureExtractor", "feature_size": 128, "sampling_rate": 16000, "padding_value": 0.0,
        "padding_side": "right", "return_attention_mask": True, "frame_length_ms": 32.0, "hop_length_ms": 10.0, "min_frequency": 125.0,
        "max_frequency": 7600.0, "preemphasis": 0.97, "preemphasis_htk_flavor": True, "fft_overdrive": True, "dither": 0.0,
        "input_scale_factor": 1.0, "mel_floor": 1e-05, "per_bin_mean": None, "per_bin_stddev": None, "fft_length": 1024,
        "frame_length": 512, "hop_length": 160, "processor_class": "Gemma3nProcessor"},
    "tokenizer_config.json": {
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
        "mask_token": "<mask>", "clean_up_tokenization_spaces": False, "padding_side": "left", "tokenizer_class": "GemmaTokenizer",
        "processor_class": "Gemma3nProcessor", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>", "boa_token": "<start_of_audio>", "eoa_token": "<end_of_audio>", "audio_token": "<audio_soft_token>"},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, default="e2b")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json to copy instead of writing a synthetic one")
    parser.add_argument("--shard-gb", type=float, default=4.0, help="largest shard in units of 2^30 bytes; a larger tensor gets its own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    variant = VARIANTS[arguments.variant]
    tensors = list(all_tensors(variant["layers"], variant["width"]))
    needed = sum(2 * math.prod(shape) for _, shape in tensors)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(arguments.out).free < needed + (1 << 28):
        sys.exit(f"error: {arguments.out}: {needed / 1e9:.1f} GB are needed, {shutil.disk_usage(arguments.out).free / 1e9:.1f} GB are free")
    (arguments.out / "config.json").write_text(json.dumps(configuration(**variant), indent=2) + "\n")
    for name, content in OTHER_FILES.items():
        (arguments.out / name).write_text(json.dumps(content, indent=2) + "\n")
    if arguments.tokenizer:
        shutil.copyfile(arguments.tokenizer, arguments.out / "tokenizer.json")
    else:
        write_tokenizer(arguments.out / "tokenizer.json")
    total = write_weights(arguments.out, tensors, arguments.shard_gb * 2**30, arguments.seed)
    print(f"{arguments.out}: {len(tensors)} tensors, {total // 2:,} parameters, {total / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
