# SPDX-License-Identifier: MIT
"""What preloading costs `true`, the smallest program there is."""

import os
import shutil
import statistics
import subprocess
import tempfile

import benchlib
from benchlib import BenchError

RUNS = 200
RESIDENT_GOAL_KB, TIME_GOAL_MS = 0.2 * 1024, 0.2


def run_true(run1, true, lib, figures, *options):
    preload = ["-p", lib] if lib else []
    done = subprocess.run([run1, *options, *preload, "-o", figures, true], env=benchlib.environment(lib, False),
                          capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise BenchError(f"{true} under {lib}: status {done.returncode}: {done.stderr.strip()}")
    with open(figures, encoding="ascii") as file:
        return benchlib.fields(file.read())


def measure(args, libs):
    """By allocator: kB resident at the end, the mean, and ms of processor time, the median."""
    run1 = benchlib.program(args.build, "run1")
    true = shutil.which("true")
    if not true:
        raise BenchError("there is no program 'true'")
    samples = {name: [] for name in libs}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        for _ in range(RUNS):
            for name, lib in libs.items():
                figures = os.path.join(directory, "figures")
                timed = run_true(run1, true, lib, figures)
                traced = run_true(run1, true, lib, figures, "-m")
                samples[name].append((float(timed["cpu_s"]) * 1000, int(traced["resident_kb"])))
    return {name: {"kb": statistics.mean(kb for _, kb in runs), "ms": statistics.median(ms for ms, _ in runs)}
            for name, runs in samples.items()}
