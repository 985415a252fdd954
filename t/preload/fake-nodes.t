#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs, and the library's own tests, on nodes made of one by numa:fake.

. "${top_srcdir:-.}/t/preload/preload.sh"

[ "$(cat /sys/devices/system/node/online 2>/dev/null || echo 0)" = 0 ] || skip_all "this machine has several nodes"
top_builddir=$(cd "$top_builddir" && pwd)
BUDDYMALLOC_CONF=numa:fake=4
export BUDDYMALLOC_CONF

is "$(BUDDYMALLOC_VERBOSE=1 LD_PRELOAD=$BM_LIB perl -e 1 2>&1 | grep -o '[0-9]* fake nodes')" "4 fake nodes" \
	"the library says that it has four"
is "$(BUDDYMALLOC_CONF=numa:fake=0 LD_PRELOAD=$BM_LIB perl -e 1 2>&1 | grep -c 'accepted is auto, or fake=N')" 1 \
	"none are one warning"

cat >work.pl <<'PL'
my %h = map { $_ => 'x' x ($_ % 3000) } 1 .. 20000;
my $n = 0;
for (1 .. 5) { my @a = map { $h{$_} . 'y' x ($_ % 50000) } grep { $_ % 20 == 0 } keys %h; $n += length for @a; }
defined(my $pid = fork) or die;
unless ($pid) { delete $h{$_} for 1 .. 10000; exit(keys %h != 10000); }
waitpid $pid, 0;
print "$n $?\n";
PL
alike "perl" perl perl work.pl
alike "sort with two threads" sort sh -c 'seq 1 300000 | sort --parallel=2 -S 16M -k1,1r | cksum'
alike "bash" bash bash -c 'for i in {1..20000}; do a[i]=$((i * 7)); done; echo ${a[@]} | cksum'

# On each CPU there is another node's memory.
for cpu in 0 1; do
	if taskset -c $cpu true 2>/dev/null; then
		rm -f "$STATS_FILE"
		preloaded taskset -c $cpu perl work.pl >said
		grep -A 20 ' perl: summary' "$STATS_FILE" | grep -q "^Node $cpu, zone   Normal"
		ok $? "on CPU $cpu there is memory of node $cpu" || diag <"$STATS_FILE"
	else
		skip 1 "no CPU $cpu for this process"
	fi
done

succeeds "stress/test_queues" preloaded "$top_builddir/t/stress/test_queues"
for test in pages policy movable owner; do
	succeeds "api/test_$test" "$top_builddir/t/api/test_$test"
done

done_testing
