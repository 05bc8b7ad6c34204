#!/usr/bin/env python3
"""types.gguf: the same 8 x 64 numbers in each type that gguf-py quantises, and rows of K types that
llama.cpp quantised; types.safetensors: the numbers ("input") and what gguf-py makes of each tensor.
usage: make.py FOLDER_WITH_LLAMA_K_FILES (here: gguf 0.19.0, numpy, safetensors)"""
import os, sys
import gguf, numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)
x = rng.standard_normal((8, 64)).astype(np.float32)
x[1] *= np.float32(1e-3)
x[2] *= np.float32(300)
x[3, :32] = 0
x[4] = np.round(x[4] * 8) / 16  # many ties
x[5, 0] = 40  # an outlier
x[6, 7], x[6, 9] = -3, 3  # extremes of equal size
x[7, :32] = np.float32(1e-41)  # the scale's inverse overflows

w = gguf.GGUFWriter(os.path.join(here, "types.gguf"), "llama")
expected = {"input": x}
for name in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]:
    finite = x if name in ("F32", "F16", "BF16") else np.concatenate([x[:7], x[:1]])
    q = gguf.quants.quantize(finite, T[name])
    w.add_tensor(name, q, raw_dtype=T[name])
    expected[name] = gguf.quants.dequantize(np.ascontiguousarray(q).view(np.uint8) if q.dtype == np.uint8 else q, T[name]).astype(np.float32).reshape(x.shape)
for name in ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]:
    for t in gguf.GGUFReader(os.path.join(sys.argv[1], name + ".gguf")).tensors:
        if t.tensor_type == T[name] and t.shape[0] == 256:
            rows = np.array(t.data[:3])
            w.add_tensor(name, rows, raw_dtype=T[name])
            expected[name] = gguf.quants.dequantize(rows, T[name]).astype(np.float32)
            break
w.add_array("test.strings", ["a", "", "\u00e9\u20ac"])
w.add_array("test.numbers", [1, -2, 300000])
w.add_array("test.reals", [0.5, -1.25])
w.add_uint8("test.u8", 200)
w.add_int8("test.i8", -100)
w.add_uint16("test.u16", 60000)
w.add_int16("test.i16", -30000)
w.add_int64("test.i64", -(1 << 40))
w.add_uint64("test.u64", 1 << 63)
w.add_float32("test.f32", 0.1)
w.add_float64("test.f64", 0.1)
w.add_bool("test.bool", True)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
save_file(expected, os.path.join(here, "types.safetensors"), {"made": "by gguf-py"})
