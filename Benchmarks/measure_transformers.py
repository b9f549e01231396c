"""Measures the reference implementation on a checkpoint, for figures beside `gemma3n bench`.

    python measure_transformers.py MODEL [--threads 2] [--prompt 256] [--tokens 16] [--parts text,image,audio] [--json]

Needs Oracle/requirements.txt. The text model computes in bfloat16, as the checkpoint stores it, the encoders in bfloat16 and in
float32. Prints medians: tokens per second of text, seconds of a picture and of 30 s of sound, preparation not included. With
--json the last line is an object of engines and their figures.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "Oracle"))
import reference  # noqa: F401, E402  (lets torchvision be imported beside a CPU build of torch)
import torch  # noqa: E402
from transformers import Gemma3nForConditionalGeneration  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--prompt", type=int, default=256)
parser.add_argument("--tokens", type=int, default=16)
parser.add_argument("--parts", default="text,image,audio")
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()
parts = arguments.parts.split(",")
torch.set_num_threads(arguments.threads)
figures = {"transformers bfloat16": {}, "transformers float32": {}}


def seconds(body, times=3):
    body()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        body()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def tell(dtype, figure, value):
    name = "transformers " + str(dtype).removeprefix("torch.")
    figures[name][figure] = value
    print(f"{name}, {figure}: {value:.3f}", file=sys.stderr if arguments.json else sys.stdout, flush=True)


start = time.perf_counter()
model = Gemma3nForConditionalGeneration.from_pretrained(arguments.model, dtype=torch.bfloat16).eval()
tell(torch.bfloat16, "open_seconds", time.perf_counter() - start)

with torch.no_grad():
    if "text" in parts:
        ids = (torch.arange(1000, 1000 + arguments.prompt) % model.config.text_config.vocab_size_per_layer_input)[None]
        prefill = seconds(lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1), times=2)
        tell(torch.bfloat16, f"prefill {arguments.prompt}", arguments.prompt / prefill)
        out = model(input_ids=ids[:, :16], use_cache=True)
        times = []
        for _ in range(arguments.tokens):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            start = time.perf_counter()
            out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
            times.append(time.perf_counter() - start)
        tell(torch.bfloat16, "decode", 1 / statistics.median(times))

    # The encoders as they are stored, and in float32.
    for dtype in (torch.bfloat16, torch.float32):
        for part in (model.model.vision_tower, model.model.embed_vision, model.model.audio_tower, model.model.embed_audio):
            part.to(dtype)
        if "image" in parts:
            pixels = torch.rand(1, 3, 768, 768, dtype=dtype)
            tell(dtype, "image", seconds(lambda: model.model.get_image_features(pixels)))
        if "audio" in parts:
            features = torch.rand(1, 2997, 128, dtype=dtype)
            mask = torch.zeros(1, 2997, dtype=torch.bool)
            tell(dtype, "audio", seconds(lambda: model.model.get_audio_features(features, mask)))

if arguments.json:
    print(json.dumps({name: values for name, values in figures.items() if values}))
