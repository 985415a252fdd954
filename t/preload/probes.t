#!/bin/sh
# SPDX-License-Identifier: MIT
# USDT probes: each is there with the kernel's arguments, and fires once for what it tells of, with the right ones, as a
# debugger sees them.

. "${top_srcdir:-.}/t/preload/preload.sh"

require readelf binutils
grep -q 'DBM_USDT=1' "$top_builddir/config.status" ||
	skip_all "built without probes: sys/sdt.h was not found, or --disable-usdt"

# has_probe NAME ARGUMENTS: all of its places have as many.
has_probe() {
	readelf -n "$BM_LIB" | awk -v name="$1" -v wanted="$2" '
		/Provider:/ { ours = $2 == "buddymalloc" }
		/Name:/ { probe = $2 }
		/Arguments:/ && ours && probe == name { places++; if (NF - 1 != wanted) wrong++ }
		END { exit places == 0 || wrong > 0 }'
	ok $? "probe $1, of $2 arguments" || readelf -n "$BM_LIB" | grep -A2 "Name: $1\$" | head -n 20 | diag
}

has_probe mm_page_alloc 4
has_probe mm_page_free 2
has_probe mm_page_alloc_zone_locked 4
has_probe mm_page_alloc_extfrag 6
has_probe mm_page_pcpu_drain 3
has_probe kmalloc 5
has_probe kfree 2

compile probes probes.c -I"$top_srcdir/include" "$BM_LIB" "-Wl,-rpath,${BM_LIB%/*}"
compile probe-pages probe-pages.c -I"$top_srcdir/include" "$BM_LIB" "-Wl,-rpath,${BM_LIB%/*}"

if ! need_program gdb gdb; then
	skip 7 "no gdb, and the package gdb could not be installed"
	done_testing
fi
if ! gdb -nx -batch -ex 'set startup-with-shell off' -ex run --args true 2>&1 </dev/null | grep -q 'exited normally'; then
	skip 7 "gdb cannot run a program here: ptrace is forbidden"
	done_testing
fi

# at_probe NAME COMMANDS…: what gdb does at a probe before it goes on.
at_probe() {
	printf 'break -probe-stap buddymalloc:%s\ncommands\nsilent\n' "$1"
	shift
	printf '%s\n' "$@" continue end
}

# listen PROGRAM: with the commands on stdin set up when it reaches begin(), run it to its end. What it said is in the
# file said, what gdb said in seen.raw.
listen() {
	{
		printf '%s\n' 'set pagination off' 'set confirm off' 'set startup-with-shell off' 'break begin' 'run said'
		cat
		echo continue
	} >commands
	rm -f said
	gdb -nx -batch -x commands "$1" >seen.raw 2>&1 </dev/null
}

# same FILE DESCRIPTION: what was said is what was seen.
same() {
	cmp -s said seen
	ok $? "$1" || {
		diff said seen | head -n 20 | diag
		tail -n 5 seen.raw | diag
	}
}

{
	at_probe kmalloc 'printf "kmalloc %#lx %lu %lu %#x ", $_probe_arg1, $_probe_arg2, $_probe_arg3, $_probe_arg4 & 0x1fffff' \
		'info symbol $_probe_arg0'
	at_probe kfree 'printf "kfree %#lx ", $_probe_arg1' 'info symbol $_probe_arg0'
} | listen ./probes
sed -n -e 's/^\(kmalloc\) \(.*\) \(by_[a-z_]*\) .*/\1 \3 \2/p' -e 's/^\(kfree\) \(.*\) \(by_[a-z_]*\) .*/\1 \3 \2/p' \
	seen.raw >seen
is "$(sed -n 's/^kmalloc \([^ ]*\) .*/\1/p' said | sort -u | wc -l)" 14 "the program has called the whole family"
same "kmalloc and kfree: once for each block, with caller, address, sizes and flags"

{
	at_probe mm_page_alloc 'printf "mm_page_alloc %#lx %u %#x %u\n", $_probe_arg0, $_probe_arg1, $_probe_arg2, $_probe_arg3'
	at_probe mm_page_free 'printf "mm_page_free %#lx %u\n", $_probe_arg0, $_probe_arg1'
	at_probe mm_page_alloc_zone_locked 'printf "zone_locked %#lx %u %u %u\n", $_probe_arg0, $_probe_arg1, $_probe_arg2, $_probe_arg3'
	at_probe mm_page_alloc_extfrag 'printf "extfrag %#lx %u %u %u %u %u\n", $_probe_arg0, $_probe_arg1, $_probe_arg2, $_probe_arg3, $_probe_arg4, $_probe_arg5'
	at_probe mm_page_pcpu_drain 'printf "pcpu_drain %#lx %u %u\n", $_probe_arg0, $_probe_arg1, $_probe_arg2'
} | listen ./probe-pages
mv said said.all
grep '^mm_page' said.all >said
grep '^mm_page' seen.raw >seen
same "mm_page_alloc and mm_page_free: once for each block, with address, order, flags and migratetype"

# extfrag ADDRESS 5 FALLBACK_ORDER RECLAIMABLE UNMOVABLE OWNED
stolen=$(sed -n 's/^stolen //p' said.all)
set -- $(sed -n 's/^extfrag \([^ ]*\) 5 \([0-9]*\) 2 0 [01]$/\1 \2/p' seen.raw) 0 0
[ "$stolen" != 0 ] && [ $(($1)) -le $((stolen)) ] && [ $((stolen)) -lt $(($1 + (4096 << $2))) ] && [ "$2" -ge 5 ]
ok $? "mm_page_alloc_extfrag: the block that was taken, both orders, both migratetypes" || {
	diag "stolen: $stolen"
	grep '^extfrag' seen.raw | diag
}

# What a list is filled with are later allocated, and what is drained was put there since the lists were empty.
large=$(sed -n 's/^large //p' said.all)
grep -q "^zone_locked $large 7 0 0\$" seen.raw
ok $? "mm_page_alloc_zone_locked: a large block, for its caller" || grep '^zone_locked.* 7 ' seen.raw | diag
sed -n 's/^zone_locked \([^ ]*\) 0 0 1$/\1/p' seen.raw | sort >filled
sed -n 's/^mm_page_alloc \([^ ]*\) 0 .*/\1/p' said | sort >allocated
[ "$(comm -12 filled allocated | wc -l)" -gt 32 ]
ok $? "and single pages, for a per-CPU list" || grep -c '^zone_locked' seen.raw | diag
sed -n 's/^pcpu_drain \([^ ]*\) 0 0$/\1/p' seen.raw | sort >drained
sed -n 's/^mm_page_free \([^ ]*\) 0$/\1/p' seen.raw | sort >freed
sort -u filled freed >listed
[ "$(wc -l <drained)" -gt 32 ] && [ -z "$(comm -23 drained listed)" ]
ok $? "mm_page_pcpu_drain: pages of the list, with order and migratetype" || {
	grep -c '^pcpu_drain' seen.raw | diag
	comm -23 drained listed | head -n 3 | diag
}

done_testing
