#!/usr/bin/env python3
"""Reference matrices in NF4: bitsandbytes' codes and scales, all as float32.
usage: make.py FOLDER   (with NAME.safetensors: weight, and single. and double. packed, absmax, ...)"""
import os
import sys

from safetensors.numpy import load_file, save_file

for name in ("odd_7x50", "special_16x96"):
    tensors = load_file(os.path.join(sys.argv[1], name + ".safetensors"))
    here = os.path.join(os.path.dirname(__file__), name + ".safetensors")
    save_file({k: v.astype("float32") for k, v in tensors.items()}, here)
