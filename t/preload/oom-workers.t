#!/bin/sh
# SPDX-License-Identifier: MIT
# Four workers with owners, one of which leaks: it is told to end, once, and the others know nothing of it.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile oom-workers oom-workers.c -I"$top_srcdir/include" "$BM_LIB" "-Wl,-rpath,${BM_LIB%/*}"

# limited LIMIT KIB COMMAND…
cat >limited <<'SH'
#!/bin/sh
[ "$1" = none ] || ulimit "$1" "$2" || exit 77
shift 2
exec "$@"
SH
chmod +x limited

right="told to end: 0 0 1 0
0 wrong
150 MiB"

# workers WHAT CONF LIMIT KIB
workers() {
	said=$(BUDDYMALLOC_CONF=$2 ./limited $3 $4 ./oom-workers 2>err)
	is "$? $said" "0 $right" "$1: one is told to end, the others finish, and their memory can be had again" || diag <err
	is "$(grep -c 'invoked oom-killer' err)" 1 "$1: one report" || diag <err
	first=$(grep -A 2 'Owners state' err | tail -n 1)
	is "${first##* }" worker-2 "$1: which names the leaker first"
	grep -q "limit $5: usage .*, this one binds" err
	ok $? "$1: and the limit" || diag <err
	grep -q 'Out of memory: aborting owner worker-2 ' err
	ok $? "$1: and the decision" || diag <err
}

workers "limit:" limit:256m none 0 limit
workers "RLIMIT_DATA" verbose:false -d 262144 RLIMIT_DATA
workers "RLIMIT_AS" verbose:false -v 400000 RLIMIT_AS

done_testing
