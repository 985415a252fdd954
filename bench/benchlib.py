# SPDX-License-Identifier: MIT
"""What the bench commands share: where the programs and libraries are, how they are run, medians.

Ratios are taken within a round, in which all allocators ran one after the other, and the median is taken over
the rounds: what slows the machine down for a while slows both sides of a ratio.
"""

import os
import statistics
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BASE = "glibc"
OURS = "ours"
JEMALLOC = "jemalloc"


class BenchError(Exception):
    """Something that ends a command; the text is for the user."""


def warn(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)


def add_common_options(parser):
    parser.add_argument("--build", metavar="DIR", default=os.path.join(TOP, "build"),
                        help="build directory (default: build/ beside bench/)")
    parser.add_argument("--lib", metavar="NAME=PATH", action="append", default=[],
                        help="a further library to preload; NAME may be ours or jemalloc to replace those")
    parser.add_argument("--conf", metavar="NAME=SETTINGS", action="append", default=[],
                        help="ours once more, as NAME, with BUDDYMALLOC_CONF=SETTINGS")
    parser.add_argument("--only", metavar="A,B", help="only these allocators (glibc always runs, the others are "
                        "compared with it)")


def program(build, name):
    """Path of a compiled program of bench/; makes it where it is missing and the build directory is configured."""
    path = os.path.abspath(os.path.join(build, "bench", name))
    if not os.path.exists(path) and os.path.exists(os.path.join(build, "Makefile")):
        subprocess.run(["make", "-s", "-C", build, "bench"], stdout=sys.stderr, check=False)
    if not os.path.exists(path):
        raise BenchError(f"{path} is missing: run 'make bench' in the build directory, or name it with --build")
    return path


def find_jemalloc():
    for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"):
        path = os.path.join(directory, "libjemalloc.so.2")
        if os.path.exists(path):
            return path
    return "/usr/lib/libjemalloc.so.2"


class Library(str):
    """The path of a library to preload, empty for none, and the settings with which it runs."""

    def __new__(cls, path="", conf=""):
        library = super().__new__(cls, path)
        library.conf = conf
        return library


def named(item, option, what):
    name, equals, value = item.partition("=")
    if not (name and equals and value) or name == BASE:
        raise BenchError(f"{option} {item}: give NAME={what}, with a NAME other than {BASE}")
    return name, value


def check_settings(name, lib):
    """Settings that the library warns about would be measured as if they were not there."""
    done = subprocess.run(["true"], env=environment(lib), capture_output=True, text=True, check=False)
    bad = [line for line in done.stderr.splitlines() if "BUDDYMALLOC_CONF: " in line]
    if bad:
        raise BenchError(f"--conf {name}={lib.conf}: {bad[0]}")


def check_writable(path, option):
    """A file that is to be written when all has been measured."""
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise BenchError(f"{option} {path}: {error.strerror}") from None


def libraries(args):
    """Name to Library of all that were asked for, in the order of the table."""
    libs = {BASE: Library(), JEMALLOC: Library(find_jemalloc()),
            OURS: Library(os.path.join(args.build, "lib", ".libs", "libbuddymalloc.so"))}
    libs |= {name: Library(path) for name, path in (named(item, "--lib", "PATH") for item in args.lib)}
    libs |= {name: Library(libs[OURS], conf) for name, conf in (named(item, "--conf", "SETTINGS") for item in args.conf)}
    if args.only:
        wanted = args.only.split(",")
        for name in wanted:
            if name not in libs:
                raise BenchError(f"--only: no allocator is called {name}; there are {', '.join(libs)}")
        libs = {name: path for name, path in libs.items() if name in wanted or name == BASE}
    return libs


def allocators(args):
    """Those of them that are there."""
    found = {}
    for name, path in libraries(args).items():
        if path and not os.path.exists(path):
            warn(f"{name} is left out: {path} does not exist")
            continue
        found[name] = Library(path and os.path.realpath(path), path.conf)
        if path.conf:
            check_settings(name, found[name])
    return found


def absent(args, found):
    """The names of those that are not."""
    return [name for name in libraries(args) if name not in found]


def environment(lib=None, preload=True):
    """The environment in which only lib is preloaded, or nothing yet, and has the settings that it runs with."""
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    if lib and preload:
        env["LD_PRELOAD"] = lib
    if lib and lib.conf:
        env["BUDDYMALLOC_CONF"] = lib.conf
    return env


def fields(line):
    """'a=1 b=2' as a dictionary."""
    return dict(item.split("=", 1) for item in line.split() if "=" in item)


def spread(values):
    """Distance between the quartiles."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


class Ratio:
    """Ratios of two series, round by round: their median, and whether they differ from 1 by more than noise."""

    def __init__(self, values, base):
        pairs = [(v, b) for v, b in zip(values, base) if v and b]
        self.rounds = [v / b for v, b in pairs]
        self.median = statistics.median(self.rounds) if self.rounds else None
        self.spread = spread(self.rounds)

    def noisy(self):
        return self.median is not None and abs(self.median - 1) < self.spread

    def above(self, limit=1.0):
        """Beyond the limit by more than the noise."""
        return self.median is not None and self.median - limit > self.spread

    def __str__(self):
        if self.median is None:
            return "-"
        return f"{self.median:.2f}" + ("~" if self.noisy() else " ")


def geomean(values):
    values = [v for v in values if v]
    return statistics.geometric_mean(values) if values else None


def main(run):
    """Runs a command; a BenchError is its last word."""
    try:
        sys.exit(run())
    except BenchError as error:
        warn(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
