# SPDX-License-Identifier: MIT
"""Runs of bench/curves under several allocators, interleaved."""

import statistics
import subprocess

import benchlib
from benchlib import BenchError


def run_curve(path, name, lib, scale, seed):
    """The lines of one run, as dictionaries of numbers."""
    done = subprocess.run([path, name, "--scale", scale, "--seed", seed], env=benchlib.environment(lib),
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{name}: status {done.returncode}: {done.stderr.strip()}")
    points = []
    for line in done.stdout.splitlines():
        fields = benchlib.fields(line)
        point = {key: value if key in ("curve", "call") else float(value) for key, value in fields.items()}
        if "live_mib" in point:
            point["over"] = point["rss_mib"] / point["live_mib"] if point["live_mib"] else None
        points.append(point)
    return points


def measure(args, libs, names, seed="1"):
    """[curve][allocator]: a list of points for each round. Also the failures."""
    path = benchlib.program(args.build, "curves")
    found = {name: {lib: [] for lib in libs} for name in names}
    failures = []
    order = list(libs)
    for turn in range(args.runs):
        for name, by_lib in found.items():
            first = turn % len(order)
            for lib in order[first:] + order[:first]:
                benchlib.progress(f"round {turn + 1}/{args.runs}  {name} {lib}")
                try:
                    by_lib[lib].append(run_curve(path, name, libs[lib], args.scale, seed))
                except BenchError as error:
                    failures.append(f"{lib}: {error}")
    benchlib.progress("")
    return found, failures


def medians(rounds, key):
    """(x, median, least, most) of each point over the rounds."""
    out = []
    for points in zip(*rounds):
        values = [p[key] for p in points if p[key] is not None]
        if values:
            out.append((points[0]["x"], statistics.median(values), min(values), max(values)))
    return out
