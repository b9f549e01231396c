"""Logits of every position of a prompt as llama.cpp computes them, for `conversion.py`.

    python Oracle/llama_logits.py MODEL.gguf IDS.json OUT.npy

Needs llama-cpp-python 0.3.36 and numpy only, so that it can run in an environment of its own.
"""

import json
import sys

import numpy as np
from llama_cpp import Llama


def main():
    path, ids, out = sys.argv[1:4]
    ids = json.load(open(ids))
    llama = Llama(model_path=path, n_ctx=len(ids) + 8, n_batch=len(ids) + 8, logits_all=True, n_threads=1, verbose=False,
                  type_k=0, type_v=0)  # caches in float32, as here
    llama.eval(ids)
    np.save(out, llama.scores[: len(ids)].astype(np.float32))
    text = "Hello  world,\n\nthis is <start_of_turn>user"
    print(json.dumps(llama.tokenize(text.encode(), add_bos=True, special=True)))


main()
