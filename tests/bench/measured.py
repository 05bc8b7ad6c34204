"""Runs a command, its output as it comes, and writes "SECONDS PEAK_BYTES" to a file, for bench.sh.

usage: measured.py FILE COMMAND [ARGUMENT]...
"""
import resource, subprocess, sys, time

start = time.perf_counter()
status = subprocess.run(sys.argv[2:]).returncode
seconds = time.perf_counter() - start
with open(sys.argv[1], "w") as out:
    print(f"{seconds:.3f}", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=out)
sys.exit(status if status >= 0 else 128 - status)
