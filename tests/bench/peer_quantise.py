"""usage: peer_quantise.py llama.cpp|gguf-py F16.gguf OUT.gguf TYPE: quantises on two threads and prints
seconds by the clock and of user CPU time. Exit 1 where the peer can't write the type."""
import ctypes, os, resource, sys, time
peer, source, out, name = sys.argv[1:]
TYPES = {"q8_0": 7, "q6_k": 18, "q4_k_m": 15, "q4_0": 2}


def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


if peer == "llama.cpp":
    import llama_cpp
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = TYPES[name], 2
    start, cpu = time.time(), used()
    stdout = os.dup(1)
    os.dup2(2, 1)  # it talks
    status = llama_cpp.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params))
    os.dup2(stdout, 1)
    if status:
        sys.exit(1)
else:
    import gguf, numpy as np
    from concurrent.futures import ThreadPoolExecutor
    if name not in ("q8_0", "q4_0"):
        sys.exit(1)
    kind = gguf.GGMLQuantizationType[name.upper()]
    start, cpu = time.time(), used()
    w = gguf.GGUFWriter(out, "llama")
    with ThreadPoolExecutor(2) as pool:  # numpy lets go of the interpreter's lock
        work = [(t, pool.submit(lambda t=t: gguf.quants.quantize(t.data.astype(np.float32), kind)
                                if t.data.ndim == 2 else t.data.astype(np.float32)))
                for t in gguf.GGUFReader(source).tensors]
        for t, result in work:
            w.add_tensor(t.name, result.result(), raw_dtype=kind if t.data.ndim == 2 else None)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
print(f"{time.time() - start:.3f} {used() - cpu:.3f}")
