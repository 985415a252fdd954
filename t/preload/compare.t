#!/bin/sh
# SPDX-License-Identifier: MIT
# bench/compare: programs of a suite are found below a directory, the settings of --conf reach the library, and what stands
# below the table says how ours does beside the others.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3

build=$(cd "$top_builddir" && pwd)
# has FILE PATTERN WHAT
has() {
	grep -Eq "$2" "$1"
	ok $? "$3" || diag <"$1"
}
compare() { "$top_srcdir/bench/compare" --build "$build" --runs 1 --only "$@"; }

mkdir -p suite/out suite/src/barnes
printf '#!/bin/sh\necho 1 iterations\n' >suite/out/glibc-thread
printf '#!/bin/sh\nread -r word && [ "$word" = bodies ]\n' >suite/out/barnes
printf '#!/bin/sh\necho nothing | tee litter\n' >suite/out/larson
printf 'bodies\n' >suite/src/barnes/input
chmod +x suite/out/*

compare ours --suite suite >table 2>errors
is "$?" 1 "a program that does not say how much it did is a failure"
has errors "larson: a program does not say how much it did: nothing" "which is told"
[ ! -e litter ]
ok $? "what it writes does not stay"
has errors "cfrac is left out: it is not in suite" "what is not there is named"
has table "^glibc-thread +[0-9]{3,}\." "of a program that runs for a set time the cost of a million operations is shown"
has table "^barnes +[0-9.]+s +[0-9.]+M .*\| +[0-9.]+" "an input is found and read"

compare ours,tight --workloads small,mixed --scale 0.01 --conf tight=limit:32m >table 2>errors
is "$?" 1 "a run that ends for want of memory is a failure"
has errors "tight: mixed: status -6" "namely that with the settings"
is "$(grep -c "ours: " errors)" 0 "not the one without"
has table "^ours: least time in [0-2] of 2 rows; above 1.05 of the best: " "rows where ours is first are counted"
has table "^ours: MiB resident when idle beyond what lives, above 5: .*mixed" "what stays resident when idle is told"

# What is wrong is told before anything is measured.
refused() {
	words=$1
	shift
	"$@" >table 2>errors
	is "$?" 2 "refused: ${*##*/}"
	has errors "$words" "with the reason"
}
refused "nosuch" compare ours --workloads small,nosuch
refused "nosuch" compare ours --suite suite --workloads larson,nosuch
refused "No such file" compare ours --workloads small --json missing/file
refused "unknown key" compare ours,other --workloads small --conf other=no_such_key:1
refused "usage: numa" "$top_srcdir/bench/numa" --build "$build" --nosuch
is "$("$top_srcdir/bench/numa" --help | head -n 1 | cut -d ' ' -f 1,2)" "usage: numa" "bench/numa --help boots nothing"

done_testing
