# SPDX-License-Identifier: MIT
"""bench/compare --goals: what ours is to reach, line by line, and what the other commands' measurements say of it.

A line has several checks; each looks at one part, the document of what was measured. A part that is not whole, as a
peer or a program is missing, may show that a goal is missed, but never that it is met; one of another scale neither.
"""

import statistics
from collections import namedtuple

import comparelib
import countlib
import curvelib
import startlib
from benchlib import BASE, OURS
from comparelib import IDLE_GOAL_MIB, ROW_GOAL

LINES = {1: "instructions", 2: "time", 3: "memory", 4: "real programs", 5: "growth", 6: "tail", 7: "start-up"}
AHEAD = 0.90            # of the best single peer's time
PROGRAMS_PEAK = 1.05    # of glibc's
LARGE_MIB, SMALL_MIB, HUGE_GOAL = 64, 16, 1.05
FLAT = 1.2              # of the cost at the beginning
CYCLE = 10              # points of the curve fragments after which its sizes come again
LONG_MS = 1

Found = namedtuple("Found", "good measured peer rows", defaults=("", ()))
Row = namedtuple("Row", "line goal measured peer verdict rows", defaults=("", "", "", ()))


class Gap(Exception):
    """Why a part cannot tell."""


def peers_of(doc):
    """The peers of a part that has some."""
    names = doc["points"] if "points" in doc else next(iter(doc.get("samples", {}).values()), ())
    return [name for name in names if name != OURS and name not in doc.get("conf", ())]


def tables_of(doc):
    samples = doc["samples"]
    if not all(OURS in by_lib and BASE in by_lib for by_lib in samples.values()):
        raise Gap(f"without {OURS} or {BASE}")
    return {lib: comparelib.ratios(samples, lib) for lib in next(iter(samples.values())) if lib != BASE}


def means_of(doc):
    known = comparelib.means_beside(tables_of(doc), peers_of(doc))
    if not known:
        raise Gap("a mean is missing")
    return known


def counted(title, case):
    def find(doc):
        value = doc["counts"].get(f"{title} {case[0]}/{case[1]}")
        if value is None:
            raise Gap("not counted")
        return Found(value <= dict(CALLS)[title].goals[case], f"{value:.1f}")
    return find


def time_mean(doc):
    means, quickest, _ = means_of(doc)
    best = means[quickest]["time"]
    return Found(means[OURS]["time"] <= AHEAD * best, f"{means[OURS]['time'] / best:.3f}", f"{quickest} {best:.3f}")


def peak_mean(doc):
    means, _, smallest = means_of(doc)
    best = means[smallest]["peak"]
    return Found(means[OURS]["peak"] <= best, f"{means[OURS]['peak'] / best:.3f}", f"{smallest} {best:.3f}")


def programs_peak(doc):
    means, _, _ = means_of(doc)
    peaks = {lib: mean["peak"] for lib, mean in means.items()}
    best = min((lib for lib in peaks if lib != OURS), key=peaks.get)
    return Found(peaks[OURS] <= PROGRAMS_PEAK, f"{peaks[OURS]:.3f}", f"{best} {peaks[best]:.3f}")


def rows_within(column, goal):
    """Each row is to be within goal of the best peer's."""
    def find(doc):
        if column == "time" and doc["part"] == "programs" and not doc["cpu"]:
            raise Gap("its time is not processor time")
        beside = comparelib.beside_best(tables_of(doc), peers_of(doc), column)
        if not beside:
            raise Gap("no row of it has a peer's")
        over = sorted(((ratio, lib, name) for name, (ratio, lib) in beside.items() if ratio > goal), reverse=True)
        worst, lib, name = max((ratio, lib, name) for name, (ratio, lib) in beside.items())
        return Found(not over, f"{len(over)} of {len(beside)} above; {worst:.3f}", f"{lib} in {name}",
                     [f"{name} {ratio:.3f} ({lib})" for ratio, lib, name in over])
    return find


def rows_first(doc):
    beside = comparelib.beside_best(tables_of(doc), peers_of(doc), "time")
    return Found(None, f"{sum(ratio < 1 for ratio, _ in beside.values())} of {len(beside)}")


def idle(doc):
    left = comparelib.left_when_idle(doc["samples"])
    if not left:
        raise Gap("nothing was idle")
    over = sorted(((mib, name) for name, mib in left.items() if mib > IDLE_GOAL_MIB), reverse=True)
    mib, name = max((mib, name) for name, mib in left.items())
    return Found(not over, f"{len(over)} of {len(left)} above; {mib:.1f} in {name}",
                 rows=[f"{name} {mib:.1f}" for mib, name in over])


def hugepages(fits, good):
    """Peaks of ours beside those without hugepages, of the workloads whose peak then, in MiB, fits."""
    def find(doc):
        plain = next((name for name, conf in doc["conf"].items() if conf == "thp:never"), None)
        if not plain:
            raise Gap("no run of thp:never")
        table = comparelib.ratios(doc["samples"], OURS, plain)
        found = {name: table[name]["peak"] for name, by_lib in doc["samples"].items()
                 if table[name]["peak"].median and fits(comparelib.median_of(by_lib[plain], "peak_kb") / 1024)}
        if not found:
            raise Gap("no heap of that size")
        over = [name for name, ratio in found.items() if not good(ratio)]
        most = max(found, key=lambda name: found[name].median)
        return Found(not over, f"{len(over)} of {len(found)} above; {found[most].median:.3f} in {most}",
                     rows=[f"{name} {found[name].median:.3f}" for name in over])
    return find


def same(ratio):
    """Equal to two digits, or but for noise; or less."""
    return round(ratio.median, 2) <= 1 or ratio.noisy()


def flat(last, begin=0, width=1):
    """Cost at the end of a curve, which must reach `last`, to that at its beginning, each the mean of width points: at
    most FLAT, or, as what the machine adds it adds to everybody, with no more ns added than by any peer."""
    def find(doc):
        lines = {lib: curvelib.medians(rounds, "ns") for lib, rounds in doc["points"].items()}
        if not lines.get(OURS) or len(lines[OURS]) < begin + 2 * width:
            raise Gap("too few points")
        if lines[OURS][-1][0] < last:
            raise Gap(f"up to {lines[OURS][-1][0]:.4g} only")
        mean = lambda points: statistics.mean(point[1] for point in points)
        ends = {lib: (mean(line[begin:begin + width]), mean(line[-width:])) for lib, line in lines.items() if line}
        added = {lib: end - start for lib, (start, end) in ends.items()}
        best = min((lib for lib in added if lib != OURS), key=added.get, default=None)
        start, end = ends[OURS]
        return Found(end <= FLAT * start or (best is not None and added[OURS] <= added[best]),
                     f"{start:.0f} to {end:.0f} ns: {end / start:.2f}, {added[OURS]:+.0f}",
                     f"{best} {ends[best][0]:.0f} to {ends[best][1]:.0f}: {added[best]:+.0f}" if best else "")
    return find


def fragmentation(doc):
    """The mean over the curve, and over its fifths."""
    lines = {lib: [point[1] for point in curvelib.medians(rounds, "over")] for lib, rounds in doc["points"].items()}
    means = {lib: statistics.mean(line) for lib, line in lines.items() if line}
    best = min((lib for lib in means if lib != OURS), key=means.get, default=None)
    if OURS not in means or not best:
        raise Gap("no points")
    fifth = max(len(lines[OURS]) // 5, 1)
    parts = [statistics.mean(lines[OURS][at:at + fifth]) for at in range(0, len(lines[OURS]), fifth)]
    return Found(means[OURS] <= means[best], f"{means[OURS]:.3f} ({' '.join(f'{part:.1f}' for part in parts)})",
                 f"{best} {means[best]:.3f}")


def latency(call, key, over_rounds):
    def find(doc):
        known = {lib: over_rounds([point[key] for points in rounds for point in points if point["call"] == call]) / 1e6
                 for lib, rounds in doc["points"].items() if rounds}
        best = min((lib for lib in known if lib != OURS), key=known.get, default=None)
        if OURS not in known or not best:
            raise Gap("no points")
        return Found(known[OURS] <= known[best], f"{known[OURS]:.4f} ms", f"{best} {known[best]:.4f} ms")
    return find


def long_calls(doc):
    points = [point for points in doc["points"][OURS] for point in points]
    total, faulting = sum(point["calls"] for point in points), sum(point["faulting"] for point in points)
    return Found(total == faulting, f"{total:.0f} above, {faulting:.0f} with a page fault")


def added(key, goal, unit, per_unit=1):
    def find(doc):
        more = doc["figures"][OURS][key] - doc["figures"][BASE][key]
        return Found(more <= goal, f"{more / per_unit:.3f} {unit}")
    return find


# The calls of bench/instructions that have a line.
CALLS = (("pair", countlib.PAIRS), ("calloc", countlib.CALLOCS), ("realloc", countlib.REALLOCS))

# Line, part, goal, what finds it out, and whether it is one beside peers.
Check = namedtuple("Check", "line part goal find relative", defaults=(True,))
CHECKS = (
    *(Check(1, "instructions", f"{title} {case[0]}/{case[1]}: at most {goal}", counted(title, case), False)
      for title, calls in CALLS for case, goal in calls.goals.items()),
    Check(2, "suite", f"geomean at most {AHEAD:.2f} of the best peer's", time_mean),
    Check(2, "suite", f"each row at most {ROW_GOAL} of its best peer's", rows_within("time", ROW_GOAL)),
    Check(2, "suite", "rows first: as many as can be", rows_first),
    Check(3, "suite", "peak geomean at most the smallest quick peer's", peak_mean),
    Check(3, "programs", f"peak geomean of real programs at most {PROGRAMS_PEAK} of {BASE}'s", programs_peak, False),
    Check(3, "workloads", f"idle: at most {IDLE_GOAL_MIB} MiB beyond what lives", idle, False),
    Check(3, "workloads", f"hugepages, heaps above {LARGE_MIB} MiB: peak at most {HUGE_GOAL} of without",
          hugepages(lambda mib: mib > LARGE_MIB, lambda ratio: ratio.median <= HUGE_GOAL), False),
    Check(3, "workloads", f"hugepages, heaps below {SMALL_MIB} MiB: peak as without",
          hugepages(lambda mib: mib < SMALL_MIB, same), False),
    Check(4, "programs", "user+sys time of each at most its best peer's", rows_within("time", 1)),
    Check(4, "programs", "peak RSS of each at most its best peer's", rows_within("peak", 1)),
    Check(5, "growth", "flat from 10 MiB to 12 GiB", flat(12288)),
    Check(5, "threads", "flat from 1 to 500 threads", flat(500)),
    Check(5, "billion", "flat over 10^9 operations that fragment", flat(1e9, CYCLE, CYCLE), False),
    Check(5, "fragments", "RSS over live bytes at most the best peer's", fragmentation),
    *(Check(6, "tail", f"99.99 % of {call} at most the best peer's", latency(call, "p9999", statistics.median))
      for call in ("malloc", "free")),
    *(Check(6, "tail", f"worst {call} at most the best peer's", latency(call, "worst", min))
      for call in ("malloc", "free")),
    Check(6, "slow", f"none above {LONG_MS} ms but for page faults", long_calls, False),
    Check(7, "startup", f"at most {startlib.TIME_GOAL_MS} ms more", added("ms", startlib.TIME_GOAL_MS, "ms"), False),
    Check(7, "startup", f"at most {startlib.RESIDENT_GOAL_KB / 1024:.1f} MiB more",
          added("kb", startlib.RESIDENT_GOAL_KB, "MiB", 1024), False),
)


def gaps(check, doc):
    """Why a part does not say that a goal is met."""
    found = [": ".join(failure.split(": ")[:2]) + " failed" for failure in doc["failures"][:1]]
    missing = doc["missing"] + (doc["absent"] if check.relative else [])
    if missing:
        found.append("without " + ", ".join(missing))
    return found


def judge(check, doc):
    """What a part says of a goal. Where ours fails it misses."""
    ours_fails = any(failure.startswith(f"{OURS}: ") for failure in doc["failures"])
    try:
        found = check.find(doc)
    except Gap as gap:
        return Row(check.line, check.goal, verdict="missed" if ours_fails else f"not run: {gap}")
    lacking = gaps(check, doc)
    if float(doc["scale"]) != 1:
        verdict = f"not run: at scale {doc['scale']}"
    elif found.good is None:
        verdict = "-"
    elif not found.good or ours_fails:
        verdict = "missed"
    else:
        verdict = f"not run: {'; '.join(lacking)}" if lacking else "met"
    return Row(check.line, check.goal, found.measured, found.peer, verdict, found.rows)


def rows_of(lines, parts, reasons):
    """The table: parts by name, and the reasons why others are not there."""
    return [judge(check, parts[check.part]) if check.part in parts else
            Row(check.line, check.goal, verdict=f"not run: {reasons.get(check.part, 'not measured')}")
            for check in CHECKS if check.line in lines]


def parts_of(lines):
    """The parts that these lines need, and of which lines each is."""
    needed = {}
    for check in CHECKS:
        if check.line in lines:
            needed.setdefault(check.part, set()).add(check.line)
    return needed


def print_rows(rows):
    cells = [("line", "goal", "measured", "best peer", "verdict")]
    cells += [(f"{row.line} {LINES[row.line]}", row.goal, row.measured, row.peer, row.verdict) for row in rows]
    widths = [max(len(cell[column]) for cell in cells) for column in range(4)]
    for row in cells:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, (*widths, 0))).rstrip())
    listed = [row for row in rows if row.rows]
    if listed:
        print()
    for row in listed:
        print(f"{row.line} {LINES[row.line]}, {row.goal}; missed by {', '.join(row.rows)}")
    verdicts = [row.verdict.split(":")[0] for row in rows]
    print("\n" + ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("met", "missed", "not run")))
