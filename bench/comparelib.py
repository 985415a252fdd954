# SPDX-License-Identifier: MIT
"""Workloads, real programs or a suite's, interleaved under several allocators, and how ours does beside the others.

What was measured is a document, as bench/compare --json writes it: the samples, and what they are of.
"""

import hashlib
import os
import statistics
import subprocess
import time

import benchlib
import programs
import suite
from benchlib import BASE, JEMALLOC, OURS, BenchError, Ratio, geomean, warn

COLUMNS = (("time", "time"), ("peak", "peak_kb"), ("idle", "rss_idle_kb"))
ROW_GOAL = 1.05         # of the best peer's time
CLOSE = 1.10            # peers whose time is within this of the quickest's are those whose memory counts
IDLE_GOAL_MIB = 5
SHORT_S = 3             # what takes less is noisy, and cheap to run again


def chosen(args, names, missing=()):
    """Those of the names that --workloads wants, in their own order."""
    wanted = args.workloads.split(",") if args.workloads else names
    for name in wanted:
        if name not in names and name not in missing:
            raise BenchError(f"--workloads: none is called {name}; there are {', '.join(names)}")
    return [name for name in names if name in wanted]


class Workloads:
    """The workloads of bench/workload, which measure themselves."""

    part = "workloads"

    def __init__(self, args):
        self.args = args
        self.scale = args.scale
        self.path = benchlib.program(args.build, "workload")
        listing = subprocess.run([self.path, "--list"], capture_output=True, text=True, check=True).stdout
        there = [line.split()[0] for line in listing.splitlines()]
        self.names = chosen(args, there)
        self.missing = [name for name in there if name not in self.names]

    def run(self, name, lib):
        """One run's figures; 'result' must be the same under every allocator."""
        done = subprocess.run([self.path, name, "--scale", self.args.scale], env=benchlib.environment(lib),
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"status {done.returncode}: {done.stderr.strip()}")
        out = benchlib.fields(done.stdout)
        if lib and os.path.realpath(out["malloc"]) != lib:
            raise BenchError(f"malloc came from {out['malloc']}, not from {lib}: {done.stderr.strip()}")
        return {"time": float(out["cpu_s" if self.args.cpu else "elapsed_s"]), "peak_kb": int(out["peak_kb"]),
                "rss_idle_kb": int(out["rss_idle_kb"]), "live_kb": int(out["live_kb"]),
                "result": f"{out['ops']} operations, {out['checksum']}"}


class Programs:
    """Programs that know nothing of this, measured from outside by bench/run1. They have no idle figure."""

    scale = "1"

    def __init__(self, args, directory):
        self.args = args
        self.directory = directory
        self.part = "suite" if args.suite else "programs"
        self.run1 = benchlib.program(args.build, "run1")
        self.figures = os.path.join(directory, "figures")
        self.commands, self.missing = suite.commands(args.suite) if args.suite else programs.commands(directory)
        for name in self.missing:
            warn(f"{name} is left out: it is not {'in ' + args.suite if args.suite else 'installed'}")
        self.names = chosen(args, list(self.commands), self.missing)
        self.missing += [name for name in self.commands if name not in self.names]

    def run(self, name, lib):
        """For glibc libc is preloaded, as some programs are linked with another allocator: redis with jemalloc."""
        program = self.commands[name]
        argv = [self.run1, "-p", lib or "libc.so.6", "-o", self.figures, *program.argv]
        with open(program.stdin or os.devnull, "rb") as source:
            child = subprocess.Popen(argv, env=benchlib.environment(lib, False), stdin=source, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, cwd=self.directory)
        client = subprocess.run(program.client or "", shell=True, capture_output=True, check=False)
        output, errors = child.communicate()
        if child.returncode or b"ld.so: object" in errors:
            raise BenchError(f"status {child.returncode}: {errors.decode(errors='replace').strip()}")
        with open(self.figures, encoding="ascii") as file:
            out = benchlib.fields(file.read())
        seconds = float(out["cpu_s" if self.args.cpu else "elapsed_s"])
        if program.cost:
            seconds = program.cost((output + errors).decode(errors="replace"), seconds)
        return {"time": seconds, "peak_kb": int(out["peak_kb"]), "rss_idle_kb": None,
                "result": program.same_output and hashlib.sha256(output + client.stdout).hexdigest()}


def measure(what, libs, runs, short_runs=0):
    """samples[workload][allocator]: one set of figures per round; failed ones are None. Also the failures. What takes
    less than SHORT_S, under all allocators in the mean, has at least short_runs rounds."""
    samples = {name: {lib: [] for lib in libs} for name in what.names}
    failures = []
    order = list(libs)
    again = what.names
    for turn in range(max(runs, short_runs)):
        took = {}
        for name in again:
            start = time.monotonic()
            first = turn % len(order)
            for lib in order[first:] + order[:first]:
                benchlib.progress(f"round {turn + 1}  {name} {lib}")
                try:
                    samples[name][lib].append(what.run(name, libs[lib]))
                except BenchError as error:
                    failures.append(f"{lib}: {name}: {error}")
                    samples[name][lib].append(None)
            took[name] = (time.monotonic() - start) / len(order)
        if turn + 1 == runs:
            again = [name for name in again if took[name] < SHORT_S]
    benchlib.progress("")
    return samples, failures + differing_results(samples)


def differing_results(samples):
    found = []
    for name, by_lib in samples.items():
        expected = next((s["result"] for s in by_lib[BASE] if s), None)
        for lib, rounds in by_lib.items():
            if any(s and s["result"] != expected for s in rounds):
                found.append(f"{lib}: {name}: its result differs from that under {BASE}")
    return found


def series(rounds, key):
    return [s and s[key] for s in rounds]


def ratios(samples, lib, base=BASE):
    """[workload][column] of ratios of lib to base."""
    return {name: {column: Ratio(series(by_lib[lib], key), series(by_lib[base], key)) for column, key in COLUMNS}
            for name, by_lib in samples.items()}


def median_of(rounds, key):
    values = sorted(v for v in series(rounds, key) if v)
    return values[len(values) // 2] if values else None


def geomeans(table):
    return {column: geomean([row[column].median for row in table.values()]) for column, _ in COLUMNS}


def against_jemalloc(samples):
    """Names of what is slower under ours than under jemalloc, beyond noise, with the ratio."""
    table = ratios(samples, OURS, JEMALLOC)
    return [f"{name} {row['time'].median:.2f}" for name, row in table.items() if row["time"].above()]


def beside_best(tables, peers, column):
    """Row by row: ours to the best peer, and who that is; only rows that both have."""
    found = {}
    for name, row in tables[OURS].items():
        known = [(tables[lib][name][column].median if lib != BASE else 1.0, lib) for lib in peers]
        known = [(value, lib) for value, lib in known if value]
        if row[column].median and known:
            best, lib = min(known)
            found[name] = row[column].median / best, lib
    return found


def means_beside(tables, peers):
    """Geometric means of ours and the peers, to glibc's; the quickest peer, and the smallest of those nearly as quick.
    None where a mean is missing."""
    means = {lib: geomeans(tables[lib]) if lib != BASE else {"time": 1.0, "peak": 1.0} for lib in (OURS, *peers)}
    if not peers or not all(mean["time"] and mean["peak"] for mean in means.values()):
        return None
    quickest = min(peers, key=lambda lib: means[lib]["time"])
    close = [lib for lib in peers if means[lib]["time"] <= CLOSE * means[quickest]["time"]]
    return means, quickest, min(close, key=lambda lib: means[lib]["peak"])


def left_when_idle(samples):
    """MiB that ours has resident when idle beyond what lives, by workload."""
    left = {}
    for name, by_lib in samples.items():
        rest = [s["rss_idle_kb"] - s["live_kb"] for s in by_lib[OURS] if s and s["rss_idle_kb"] is not None]
        if rest:
            left[name] = statistics.median(rest) / 1024
    return left


def document(args, what, libs, samples, failures):
    """What was measured, for --json, and what is missing in it. The settings of --conf are no peers."""
    tables = {lib: ratios(samples, lib) for lib in libs if lib != BASE}
    return {
        "part": what.part, "cpu": args.cpu, "scale": what.scale, "missing": what.missing,
        "absent": benchlib.absent(args, libs), "conf": {name: lib.conf for name, lib in libs.items() if lib.conf},
        "failures": list(dict.fromkeys(failures)), "samples": samples,
        "ratios": {lib: {name: {column: {"median": r.median, "spread": r.spread} for column, r in row.items()}
                         for name, row in table.items()} for lib, table in tables.items()},
        "geomean": {lib: geomeans(table) for lib, table in tables.items()},
    }
