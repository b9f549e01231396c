"""Makes ../Demo/questions: held-out questions as small files, for `gemma3n curve` and `evaluate`.

    python questions.py

The pictures are those of `heldout.py` as JPEG, the clips as Ogg Vorbis; the text questions are every second one of those left out.
"""

import argparse
import json
from pathlib import Path

import soundfile

import heldout
import speech
from paths import ROOT

OUT = ROOT.parent / "Demo" / "questions"


def save_picture(image, name):
    image.save(OUT / name, quality=85)
    return name


def save_clip(clip, name):
    soundfile.write(OUT / name, clip, speech.RATE, format="OGG", subtype="VORBIS")
    return name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--frames", type=int, default=10)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    items = []
    for i, (item, image) in enumerate(heldout.picture_items(args.pictures)):
        items.append({**item, "file": save_picture(image, f"picture-{i:02d}.jpg")})
    for i, (item, clip) in enumerate(heldout.clip_items(args.clips)):
        items.append({**item, "file": save_clip(clip, f"clip-{i:02d}.ogg")})
    for i, (item, images) in enumerate(heldout.frames_items(args.frames)):
        items.append({**item, "files": [save_picture(image, f"frames-{i:02d}-{k}.jpg") for k, image in enumerate(images)]})
    items += list(heldout.text_questions())[::2]
    (OUT / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    print(f"{OUT}: {len(items)} items, {sum(f.stat().st_size for f in OUT.iterdir()) / 1e6:.2f} MB")
