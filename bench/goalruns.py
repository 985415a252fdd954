# SPDX-License-Identifier: MIT
"""What bench/compare --goals measures, part by part, by the functions of the other commands; or takes from results."""

import argparse
import json
import shutil
import tempfile
import time

import benchlib
import comparelib
import countlib
import curvelib
import goals
import startlib
from benchlib import BASE, OURS, BenchError, Library, warn

PLAIN = "4k"            # ours without hugepages
LONGER = {"fragments": 5, "billion": 50}
OURS_ONLY = {"billion": "fragments", "slow": "slow"}
SHORT = ("tail", "slow", "threads")


def changed(args, **values):
    return argparse.Namespace(**{**vars(args), **values})


def ours_and_glibc(libs):
    return {name: libs[name] for name in (BASE, OURS)}


def instructions(args, libs):
    if not shutil.which("valgrind"):
        raise goals.Gap("valgrind is not installed")
    pair = benchlib.program(args.build, "pair")
    counts = {f"{title} {case[0]}/{case[1]}": round(countlib.per_pair(pair, libs[OURS], case, calls.option) -
                                                    countlib.loop_of(pair, calls, case), 1)
              for title, calls in goals.CALLS for case in calls.goals}
    return {"counts": counts}


def compared(args, libs, make):
    """The document of bench/compare with these options."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        what = make(args, directory)
        if not what.names:
            raise goals.Gap(f"there is none of {', '.join(what.missing)}")
        samples, failures = comparelib.measure(what, libs, args.runs, args.short_runs)
    return comparelib.document(args, what, libs, samples, failures)


def suite(args, libs):
    if not args.suite:
        raise goals.Gap("no --suite DIR")
    return compared(args, libs, comparelib.Programs)


def programs(args, libs):
    return compared(changed(args, suite=None, cpu=True), libs, comparelib.Programs)


def workloads(args, libs):
    libs = ours_and_glibc(libs) | {PLAIN: Library(libs[OURS], "thp:never")}
    return compared(changed(args, only=OURS), libs, lambda args, _: comparelib.Workloads(args))


def curve(name):
    def run(args, libs):
        absent = benchlib.absent(args, libs)
        libs = {OURS: libs[OURS]} if name in OURS_ONLY else libs
        scale = str(float(args.scale) * LONGER.get(name, 1))
        which = OURS_ONLY.get(name, name)
        runs = max(args.runs, args.short_runs) if name in SHORT else args.runs
        found, failures = curvelib.measure(changed(args, scale=scale, runs=runs), libs, [which])
        return {"points": found[which], "failures": failures, "scale": args.scale, "absent": absent}
    return run


def startup(args, libs):
    return {"figures": startlib.measure(args, ours_and_glibc(libs))}


# In the order in which they are run.
PARTS = {
    "instructions": instructions, "startup": startup, "suite": suite, "programs": programs, "workloads": workloads,
    **{name: curve(name) for name in ("tail", "slow", "threads", "fragments", "growth", "billion")},
}


def read_results(paths):
    """Parts of earlier runs of compare --goals --json and compare --json; of one that is there twice the last."""
    parts = {}
    for path in paths:
        try:
            with open(path, encoding="ascii") as file:
                document = json.load(file)
            found = document["parts"] if "parts" in document else {document["part"]: document}
            if set(found) - set(PARTS) or any({"scale", "missing", "absent", "failures"} - set(part)
                                              for part in found.values()):
                raise ValueError("parts of another kind")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BenchError(f"--results {path}: not written by --json: {error}") from error
        parts |= found
    return parts


def write_parts(path, parts):
    with open(path, "w", encoding="ascii") as file:
        json.dump({"parts": parts}, file, indent=1)


def measure(args, libs, needed, parts):
    """Adds the parts that are needed; returns why others of them cannot be had, and which of these failed."""
    reasons, failures, start = {}, [], time.monotonic()
    for name, run in PARTS.items():
        if name not in needed or name in parts:
            continue
        warn(f"{(time.monotonic() - start) / 60:4.1f} min: {name}, for {'line' if len(needed[name]) == 1 else 'lines'} "
             f"{', '.join(map(str, sorted(needed[name])))}")
        try:
            parts[name] = {"part": name, "scale": "1", "missing": [], "absent": [], "failures": [], **run(args, libs)}
        except goals.Gap as gap:
            reasons[name] = str(gap)
        except BenchError as error:
            reasons[name] = "it failed"
            failures.append(f"{name}: {error}")
        if args.json:
            write_parts(args.json, parts)
    warn(f"{(time.monotonic() - start) / 60:4.1f} min in all")
    return reasons, failures


def run(args):
    lines = args.only_lines or list(goals.LINES)
    needed = goals.parts_of(lines)
    parts = read_results(args.results)
    reasons, failures = {}, []
    if set(needed) - set(parts):
        libs = benchlib.allocators(args)
        if OURS not in libs:
            raise BenchError(f"{OURS} is not there")
        for program in "pair", "run1", "workload", "curves":
            benchlib.program(args.build, program)
        reasons, failures = measure(args, libs, needed, parts)
    if args.json:
        write_parts(args.json, parts)
    parts = {name: part for name, part in parts.items() if name in needed}
    peers = dict.fromkeys(peer for part in parts.values() for peer in goals.peers_of(part))
    print(f"{OURS} beside {', '.join(peers) or 'none'}")
    print("time of the suite is processor time\n" if parts.get("suite", {}).get("cpu") else "")
    rows = goals.rows_of(lines, parts, reasons)
    goals.print_rows(rows)
    failures += [failure for part in parts.values() for failure in part["failures"]]
    for failure in dict.fromkeys(failures):
        warn(failure)
    return 1 if failures or any(row.verdict == "missed" for row in rows) else 0
