"""The latency of a `.tflite` file by LiteRT alone, to hold a study's number against: no line of this project is used.

python benchmarks/tflite_alone.py runs/STUDY/exports/trial-7/model.tflite
"""

import statistics
import sys
import time

from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()  # one picture, of zeros
times = []
for _ in range(2000):
    start = time.perf_counter_ns()
    interpreter.invoke()
    times.append((time.perf_counter_ns() - start) / 1e6)
print(f"{statistics.quantiles(times, n=20)[0]:.4g} ms (5th percentile), median {statistics.median(times):.4g} ms")
