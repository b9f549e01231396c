"""The cases that are recorded for the tiny checkpoints."""

import random
from pathlib import Path

import numpy as np
import torch
from record import Reference, margins, picture, save, voice
from tokenizer import WORDS

GREEDY_TOKENS = 24
SMALLEST_MARGIN = 0.03  # far above float noise (1e-3), so that greedy ids can be required to be identical
CASES = ["text", "long", "image", "two_images", "audio", "two_clips", "image_audio"]


def sentence(draw: random.Random, count: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(count))


def case(name: str, seed: int) -> tuple[list[dict], list[np.ndarray], list[np.ndarray]]:
    """Messages, images (uint8, height x width x 3) and clips of a case."""
    draw = random.Random(seed)
    text = lambda count: {"type": "text", "text": sentence(draw, count) + draw.choice(".?!")}
    image, audio = {"type": "image"}, {"type": "audio"}
    user = lambda *content: {"role": "user", "content": list(content)}
    match name:
        case "text":
            return [user(text(10))], [], []
        case "long":
            turns = [{"role": "system", "content": sentence(draw, 12)}, user(text(40)), {"role": "assistant", "content": sentence(draw, 25)},
                     user(text(35))]
            return turns, [], []
        case "image":
            return [user(image, text(6))], [picture(11, 70, 50)], []
        case "two_images":
            return [user(text(3), image, text(3), image, text(3))], [picture(12, 40, 120), picture(13, 96, 96)], []
        case "audio":
            return [user(audio, text(4))], [], [voice(14, 19200, onset=6000)]
        case "two_clips":
            return [user(audio, text(3), audio, text(3))], [], [voice(15, 7000), voice(16, 15000)]
        case "image_audio":
            return [user(text(2), image, text(2), audio, text(2))], [picture(17, 33, 47)], [voice(18, 10001)]
    raise ValueError(name)


def record_context(directory: Path, output: Path, length: int, positions: list[int]) -> None:
    """Logits at a few positions of a long prompt of random tokens: attention over several blocks of keys."""
    reference = Reference(directory)
    ids = torch.from_numpy(np.random.default_rng(700).integers(3, 700, (1, length)))
    ids[0, 0] = 2
    logits = reference.forward({"input_ids": ids})
    save(output / "context.safetensors", {"input_ids": ids[0], "logits": logits[positions], "logits_positions": torch.tensor(positions)},
         {"script": "Oracle/make_fixtures.py activations", "checkpoint": directory.name, "case": "context", "seed": "700"})


def record(directory: Path, output: Path, names: list[str], tapped: list[str], detailed_layers: list[int]) -> None:
    reference = Reference(directory)
    for name in names:
        for seed in range(100):
            messages, images, clips = case(name, seed)
            inputs = reference.inputs(messages, images, clips)
            greedy, step_logits = reference.greedy(inputs, GREEDY_TOKENS)
            if margins(step_logits) > SMALLEST_MARGIN and len(set(greedy)) > GREEDY_TOKENS // 2:
                break
        logits = reference.forward(inputs)
        count = len(logits)
        positions, steps = list(range(count)), list(range(GREEDY_TOKENS))
        tensors = {"input_ids": inputs["input_ids"][0], "greedy_ids": torch.tensor(greedy)}
        if name in tapped:
            tensors |= reference.taps(inputs, detailed_layers)
            tensors |= {key: inputs[key] for key in ("pixel_values",) if key in inputs}
        else:
            positions = [p for p in positions if p % 16 == 0 or p >= count - 8]
            steps = [s for s in steps if s % 8 == 7 or s < 2]
        tensors |= {"logits": logits[positions], "logits_positions": torch.tensor(positions), "step_logits": step_logits[steps],
                    "step_positions": torch.tensor(steps)}
        tensors |= {key: inputs[key] for key in ("input_features", "input_features_mask") if key in inputs}
        if not reference.text_only:
            tensors |= reference.soft_tokens(inputs)
        for n, image in enumerate(images):
            tensors[f"image.{n}"] = torch.from_numpy(image)
            tensors[f"resized.{n}"] = (inputs["pixel_values"][n] * 255).round().byte().permute(1, 2, 0)
        for n, clip in enumerate(clips):
            tensors[f"waveform.{n}"] = torch.from_numpy(clip)
        save(output / f"{name}.safetensors", tensors, {
            "script": "Oracle/make_fixtures.py activations", "checkpoint": directory.name, "case": name, "seed": str(seed),
            "prompt": reference.render(messages)})
        print(f"{directory.name}/{name}: {count} tokens, seed {seed}, logits std {logits.std():.2f}, smallest margin {margins(step_logits):.3f}, "
              f"{len(set(greedy))} distinct of {len(greedy)} greedy tokens")
