"""Random blocks of GGUF's weight formats, and what the `gguf` package decodes them to."""

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

FORMATS = {"q8_0": [0], "q4_0": [0], "q5_0": [0], "q4_K": [0, 2], "q5_K": [0, 2], "q6_K": [208]}  # where half-precision scales lie
SCALES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF, 0x3C00]  # zeros, denormals, the largest, one


def record(output: Path, elements: int = 2048):
    output.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(20)
    for name, places in FORMATS.items():
        kind = GGMLQuantizationType[name.upper()]
        length, size = GGML_QUANT_SIZES[kind]
        blocks = draw.integers(0, 256, (elements // length, size), dtype=np.uint8)
        for i, block in enumerate(blocks):
            for place in places:
                # Any finite scale, from denormal numbers up; the first blocks have the extreme ones.
                scale = SCALES[i] if i < min(len(SCALES), len(blocks) // 2) else int(draw.integers(0, 0x7C00)) | int(draw.integers(0, 2)) << 15
                block[place : place + 2] = np.frombuffer(np.uint16(scale).tobytes(), np.uint8)
        values = quants.dequantize(blocks, kind)
        assert np.isfinite(values).all()
        (output / f"{name}.blocks").write_bytes(blocks.tobytes())
        (output / f"{name}.float32").write_bytes(values.astype("<f4").tobytes())


if __name__ == "__main__":
    record(Path(__file__).parent.parent / "Tests/Fixtures/quantised")
