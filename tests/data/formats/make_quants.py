#!/usr/bin/env python3
"""quants.gguf: 7 x 256 numbers ("input") and what llama.cpp's own quantisers make of them without an
importance matrix, by type; IQ4_NL also as gguf-py reads it back ("IQ4_NL.values").
usage: make_quants.py (here: gguf 0.19.0, llama-cpp-python 0.3.36, numpy)"""
import ctypes, glob, os
import gguf, llama_cpp, numpy as np
from gguf import GGMLQuantizationType as T

here = os.path.dirname(os.path.abspath(__file__))
library = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(llama_cpp.__file__), "lib/libggml-base.so*"))[0])
library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
library.ggml_quantize_chunk.restype = ctypes.c_size_t

rng = np.random.default_rng(11)
x = rng.standard_normal((7, 256)).astype(np.float32)
x[1] = rng.standard_t(3, 256) * 0.02  # heavy tails
x[2] = np.abs(x[2]) + np.float32(0.5)  # all of one sign
x[3] = np.round(x[3] * 8) / 16  # many ties
x[4, 32:64] = 0  # groups of zeros
x[4, 100] = 40  # an outlier
x[5, 64:96] = 0.25  # a group without a range
x[6] *= np.float32(1e-3)

w = gguf.GGUFWriter(os.path.join(here, "quants.gguf"), "llama")
w.add_tensor("input", x)
for name in ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]:
    block, size = gguf.GGML_QUANT_SIZES[T[name]]
    q = np.zeros((x.shape[0], x.shape[1] // block * size), np.uint8)
    library.ggml_quantize_chunk(T[name].value, x.ctypes.data, q.ctypes.data, 0, *x.shape, None)
    w.add_tensor(name, q, raw_dtype=T[name])
    if name == "IQ4_NL":
        w.add_tensor("IQ4_NL.values", gguf.quants.dequantize(q, T[name]).astype(np.float32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
