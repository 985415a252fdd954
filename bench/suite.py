# SPDX-License-Identifier: MIT
"""Programs of a well-known suite for bench/compare --suite: found, as they were built, in a directory.

The names and arguments are those by which allocators are commonly compared; a machine of two CPUs is assumed. Nothing is
built here: the directory holds the programs, and the inputs of two of them, anywhere below it.
"""

import os
import re

from benchlib import BenchError
from programs import Program


def operations(pattern, output):
    """How many a program says it has got done, or got done in a second."""
    found = re.search(pattern, output)
    if not found or not float(found.group(1)):
        raise BenchError(f"a program does not say how much it did: {output.strip()}")
    return float(found.group(1))


def in_set_time(pattern, unit=1):
    return lambda output, seconds: 1e6 * seconds / (unit * operations(pattern, output))


def in_own_measure(pattern):
    return lambda output, seconds: 1e6 / operations(pattern, output)


# Name: arguments; a file for {input} or, without that, for stdin; the cost of so many operations, if not the whole time.
PROGRAMS = {
    "cfrac": ("cfrac 17545186520507317056371138836327483792789528",),
    "espresso": ("espresso {input}", "largest.espresso"),
    "barnes": ("barnes", "barnes/input"),
    "larson": ("larson 2 8 1000 5000 100 4141 2", None, in_set_time(r"Throughput = *(\d+) operations")),
    "larson-sized": ("larson-sized 2 8 1000 5000 100 4141 2", None, in_set_time(r"Throughput = *(\d+) operations")),
    "alloc-test1": ("alloc-test 1",),
    "alloc-testN": ("alloc-test 2",),
    "xmalloc": ("xmalloc-test -w 2 -t 2 -s 64", None, in_set_time(r"free/sec: *([\d.]+) M", 1e6)),
    "cache-scratch1": ("cache-scratch 1 1000 1 2000000 2",),
    "cache-scratchN": ("cache-scratch 2 1000 1 2000000 2",),
    "cache-thrash1": ("cache-thrash 1 1000 1 2000000 2",),
    "cache-thrashN": ("cache-thrash 2 1000 1 2000000 2",),
    "malloc-large": ("malloc-large",),
    "mstress": ("mstress 2 50 25",),
    "mleak10": ("mleak 5",),
    "mleak100": ("mleak 50",),
    "rptest": ("rptest 2 0 1 2 500 1000 100 8 16000", None, in_own_measure(r"(\d+) memory ops")),
    "sh6bench": ("sh6bench 4",),
    "sh8bench": ("sh8bench 4",),
    "glibc-simple": ("glibc-simple",),
    "glibc-thread": ("glibc-thread 2", None, in_set_time(r"(\d+) iterations")),
}


def files(directory):
    """Paths below directory by the file's name, and by that of its directory and itself; programs before others."""
    found = {}
    for where, _, names in os.walk(os.path.abspath(directory)):
        for name in names:
            path = os.path.join(where, name)
            for key in name, os.path.join(os.path.basename(where), name):
                if key not in found or (os.access(path, os.X_OK) and not os.access(found[key], os.X_OK)):
                    found[key] = path
    return found


def commands(directory):
    """Name to Program for those that are there, and the names of those missing. See programs.commands."""
    there = files(directory)
    found, missing = {}, []
    for name, (command, source, cost) in ((name, (*row, None, None)[:3]) for name, row in PROGRAMS.items()):
        words = command.split()
        program = there.get(words[0])
        if not program or not os.access(program, os.X_OK) or (source and source not in there):
            missing.append(words[0])
            continue
        argv = [there[source] if word == "{input}" else word for word in words[1:]]
        stdin = there[source] if source and "{input}" not in words else None
        found[name] = Program([program, *argv], stdin, cost=cost, same_output=False)
    return found, list(dict.fromkeys(missing))
