# SPDX-License-Identifier: MIT
"""Counts with callgrind what a call of bench/pair or bench/pages takes, and the goals of it."""

import platform
import re
import subprocess
from collections import namedtuple

import benchlib
from benchlib import BenchError

FEW, MANY = 2000, 12000

# Calls to count: the usual cases and the goals of some, the option of bench/pair, and the instructions of its empty
# functions: what stands in those would be the allocator's, so it is no cost of the loop. Calloc's also calls memset.
Calls = namedtuple("Calls", "cases goals option empty")
PAIRS = Calls(((16, 1), (64, 100), (1024, 100), (16384, 10), (100000, 1), (1000000, 1)),
              {(64, 100): 28, (1024, 100): 40, (16384, 10): 60, (100000, 1): 65, (1000000, 1): 190},
              (), 3 if platform.machine() == "x86_64" else 2)
CALLOCS = Calls(((64, 100), (1024, 100)), {(64, 100): 34}, ("-c",), 6)
REALLOCS = Calls(((64, 16), (4096, 500), (100000, 2000)), {(64, 16): 20, (4096, 500): 20, (100000, 2000): 20},
                 ("-r",), 2)
USABLES = Calls(((64, 100),), {(64, 100): 45}, ("-u",), 2)
PAGES = Calls(((0, 1), (0, 32), (4, 1), (4, 32), (9, 1), (9, 2), (9, 16)),
              {(0, 1): 45, (0, 32): 45, (9, 1): 220, (9, 2): 220}, ("-p",), 3)


def count(pair, lib, arguments):
    """Instructions of one whole run of bench/pair. Valgrind itself is not run under the library."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               "--soname-synonyms=somalloc=nouserintercepts", pair, *arguments]
    done = subprocess.run(command, env=benchlib.environment(lib), capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or "ld.so: object" in done.stderr:
        raise BenchError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()[-600:]}")
    return int(found.group(1))


def per_pair(pair, lib, case, options=()):
    size, held = case
    rounds = [FEW // held, MANY // held]
    few, many = (count(pair, lib, [*options, str(size), str(held), str(n)]) for n in rounds)
    return (many - few) / ((rounds[1] - rounds[0]) * held)


def loop_of(program, calls, case):
    """What the loop takes beside the call."""
    return per_pair(program, None, case, [*calls.option, "-e"]) - calls.empty
