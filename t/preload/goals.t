#!/bin/sh
# SPDX-License-Identifier: MIT
# bench/compare --goals says met, missed and not run of what was measured, by the bounds that are to be reached: on
# results that lie at the bounds, a little above them, or are not whole. What it measures itself is what the other
# commands measure.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3

build=$(cd "$top_builddir" && pwd)
# has FILE PATTERN WHAT
has() {
	grep -Eq "$2" "$1"
	ok $? "$3" || diag <"$1"
}
compare() { "$top_srcdir/bench/compare" --build "$build" "$@"; }
goals() { compare --goals "$@" >table 2>errors; }

# make.py NAME: writes NAME.json, all parts of which are at their bounds, after the change of that name.
cat >make.py <<'EOT'
import json, sys

name = sys.argv[1]
more = 1.001 if name == "above" else 1
part = lambda what, **more: {"part": what, "scale": "1", "missing": [], "absent": [], "failures": [], **more}

def sample(time, peak, idle=0, live=0):
    return {"time": time, "peak_kb": peak, "rss_idle_kb": idle, "live_kb": live, "result": ""}

def side(what, ours, peers):
    """Two rows of each allocator."""
    row = lambda: {lib: [sample(*figures)] for lib, figures in {**peers, "ours": ours}.items()}
    return part(what, cpu=what == "programs", conf={}, samples={"one": row(), "two": row()})

# The quick peer's time is 0.8, and 0.9 of that 0.72; the slow one's memory does not count.
suite = side("suite", (0.7199 * more, 900000 * more),
             {"glibc": (1, 1000000), "quick": (0.8, 900000), "slow": (0.9, 100)})
if name == "above":
    suite["samples"]["one"]["ours"][0]["time"], suite["samples"]["two"]["ours"][0]["time"] = 0.6177, 0.841
programs = side("programs", (0.9 * more, 800000 * more), {"glibc": (1, 1000000), "quick": (0.9, 800000)})
heavy = side("programs", (0.9, 1051000 if name == "heavier" else 1049000),
             {"glibc": (1, 1000000), "quick": (0.9, 800000)})

huge, small = int(105000 * more), 10060 if more > 1 else 10040
workloads = part("workloads", cpu=False, conf={"4k": "thp:never"}, samples={
    "huge": {"glibc": [sample(1, 1)], "4k": [sample(1, 100000)],
             "ours": [sample(1, huge, 6120 + 9 * (more > 1), 1000)]},
    "small": {"glibc": [sample(1, 1)], "4k": [sample(1, 10000)], "ours": [sample(1, small, 1, 1)]},
    # As large as to be neither, and above both bounds.
    "middle": {"glibc": [sample(1, 1)], "4k": [sample(1, 40000)], "ours": [sample(1, 80000, 1, 1)]}})

def curve(what, last, ours, peers=None, width=1):
    """Points of the cost at its beginning and at its end."""
    points = lambda costs: [{"x": last * (n + 1) / (2 * width), "ns": costs[n // width], "over": costs[2]}
                            for n in range(2 * width)]
    lines = {"ours": ours} | (peers or {})
    return part(what, points={lib: [points(costs)] for lib, costs in lines.items()})

quick = {"quick": (200, 500, 3)}
growth = curve("growth", 12288, (50, 350 * more, 0), quick)
threads = curve("threads", 500, (100, 120, 0) if more == 1 else (100, 120.5, 0), {"quick": (90, 90, 0)})
fragments = curve("fragments", 1e8, (1, 1, 3 * more), quick)
costs = [500] * 10 + [100] * 10 + [120 * more] * 10
billion = part("billion", points={"ours": [[{"x": 1e9 * (n + 1) / 30, "ns": costs[n], "over": 1} for n in range(30)]]})
call = lambda of, factor: {"call": of, "p9999": 2000 * factor, "worst": 5000 * factor}
tail = part("tail", points={lib: [[call(of, factor) for of in ("malloc", "free")]] * 2
                            for lib, factor in (("quick", 1), ("ours", more))})
slow = part("slow", points={"ours": [[{"call": of, "calls": 2 + (more > 1), "faulting": 2}
                                      for of in ("malloc", "free")]]})
startup = part("startup", figures={"glibc": {"kb": 1000, "ms": 1},
                                   "ours": {"kb": 1204.8 + 9 * (more > 1), "ms": 1.2 - 1e-9 + .01 * (more > 1)}})
bounds = {"pair 64/100": 28, "pair 1024/100": 40, "pair 16384/10": 60, "pair 100000/1": 65, "pair 1000000/1": 190,
          "calloc 64/100": 34, "realloc 64/16": 20, "realloc 4096/500": 20, "realloc 100000/2000": 20}
instructions = part("instructions", counts={key: bound + 0.1 * (more > 1) for key, bound in bounds.items()})

parts = [suite, heavy if name.startswith("heav") else programs, workloads, growth, threads, fragments, billion, tail,
         slow, startup, instructions]
if name == "parts":
    suite["missing"] = ["cfrac"]
    programs["failures"] = ["quick: one: status 1"]
    growth["absent"] = tail["absent"] = startup["absent"] = ["slow"]
    threads["scale"] = "0.5"
    for point in billion["points"]["ours"][0]:
        point["x"] *= 0.9
    workloads["conf"] = {}
    del instructions["counts"]["pair 64/100"]
if name == "fails":
    suite["failures"] = ["ours: one: status 1"]
json.dump({"parts": {found["part"]: found for found in parts}}, open(name + ".json", "w"))
EOT

python3 make.py bounds && goals --results bounds.json
is "$? $(tail -n 1 table)" "0 29 met, 0 missed, 0 not run" "at its bounds every line is met" || diag <table
is "$(cat errors)" "" "and nothing is run"
python3 make.py above && goals --results above.json
is "$? $(grep -v ' real programs at most ' table | grep -c ' missed$') $(grep -c ' met$' table)" "1 28 1" \
	"above them all are missed, which the exit status tells" || diag <table
has table "real programs at most 1.05 of glibc's +0.801 .* met$" "but for one, which is far from its bound"
has table "^2 time.* each row at most 1.05 .* 1 of 2 above; 1.051 +quick in two +missed$" "the worst row is named"
has table "missed by two 1.051 \(quick\)$" "and all that miss"
has table "^5 .* 12 GiB .* 50 to 350 ns: 7.01, \+300 +quick 200 to 500: \+300 +missed$" "growth by what it adds"
python3 make.py heavy && goals --results heavy.json --only-lines 3
has table "real programs at most 1.05 of glibc's +1.049 +quick 0.800 +met$" "1.05 of glibc's memory may be"
is "$(grep -Ec '^[124567] .*(met|missed)$' table)" 0 "lines that were not asked for are not shown"
python3 make.py heavier && goals --results heavier.json --only-lines 3
has table "real programs at most 1.05 of glibc's +1.051 +quick 0.800 +missed$" "but no more"

python3 make.py parts && goals --results parts.json
is "$? $(grep -c ' missed$' table)" "1 0" "a failure of a peer is told by the exit status, and is no miss"
has errors "quick: one: status 1" "and named"
has table "^2 .* geomean at most 0.90 .* not run: without cfrac$" "without a program of the suite nothing is met"
has table "^4 .* user\+sys .* not run: quick: one failed$" "nor where one fails under a peer"
has table "^5 .* 12 GiB .* not run: without slow$" "nor without a peer"
has table "^5 .* 500 threads .* not run: at scale 0.5$" "nor at another scale"
has table "^5 .* 10.9 operations .* not run: up to 9e\+08 only$" "nor where a curve ends too early"
has table "^3 .* heaps above 64 MiB.* not run: no run of thp:never$" "nor without a run without hugepages"
has table "^1 .* pair 64/100.* not run: not counted$" "nor what was not counted"
has table "^6 .* above 1 ms .* met$" "what stands beside no peer needs none"
python3 make.py fails && goals --results fails.json --only-lines 2
is "$? $(grep -c ' missed$' table)" "1 2" "what fails under ours is missed"

goals --only-lines 2
is "$?" 0 "what cannot be run is no failure"
has table "^2 .* geomean .* not run: no --suite DIR$" "and the reason is told"
goals --only-lines 6 --scale 0.001 --only ours,missing --lib missing=/nonexistent --json tail.json
has table "^6 .* worst malloc .* [0-9.]+ ms +glibc [0-9.]+ ms +not run: at scale 0.001$" "a line is measured"
has errors "^compare: +[0-9.]+ min: tail, for line 6$" "which is told meanwhile"
cp table measured
goals --only-lines 6 --results tail.json --results bounds.json --results tail.json --json all.json
is "$(cat table)" "$(cat measured)" "what was written is read again"
goals --only-lines 1 --results all.json
has table "^9 met, 0 missed, 0 not run$" "and what was read is written, of other lines, too"
grep -q '"absent": \[$' tail.json
ok $? "with the peers that were not there" || diag <tail.json

# A row's figures are those that compare shows.
mkdir suite
printf '#!/bin/sh\necho 7\n' >suite/cfrac
chmod +x suite/cfrac
compare --suite suite --runs 3 --only ours --json suite.json >shown 2>/dev/null
goals --only-lines 2 --results suite.json
shown=$(sed -n 's/^time geomean \([0-9.]*\) of .*/\1/p' shown)
goal=$(sed -n "s/.* geomean at most 0.90 of the best peer's *\([0-9.]*\) .*/\1/p" table)
awk -v a="$goal" -v b="$shown" 'BEGIN { exit !(a > 0 && a - b < 0.006 && b - a < 0.006) }'
ok $? "the geomean is that of compare --suite" || diag "$goal $shown"

# Rounds: three of what is short, one of what is not, as many as are asked for of both.
rounds() { python3 -c 'import json; suite = json.load(open("rounds.json"))["parts"]["suite"]["samples"]
print(*(len(suite[name]["ours"]) for name in ("cfrac", "alloc-test1")))'; }
printf '#!/bin/sh\nsleep 3\n' >suite/alloc-test
chmod +x suite/alloc-test
goals --only-lines 2 --suite suite --only ours --json rounds.json
is "$(rounds)" "3 1" "what takes less than three seconds is run in three rounds"
rm suite/alloc-test
printf '#!/bin/sh\n' >suite/alloc-test
chmod +x suite/alloc-test
goals --only-lines 2 --suite suite --only ours --runs 2 --json rounds.json
is "$(rounds)" "2 2" "or in as many as --runs says"

for bad in "--goals --only-lines 8" "--goals --programs" "--only-lines 1" "--goals --results nowhere" \
	"--goals --scale x" "--results bounds.json" "--goals --results make.py"; do
	# shellcheck disable=SC2086 # these are words
	compare $bad >/dev/null 2>&1
	is "$?" 2 "$bad is refused"
done

done_testing
