#!/bin/sh
# SPDX-License-Identifier: MIT
# USDT probes: each is there with the kernel's arguments, and kmalloc and kfree fire once for every block, with the
# right ones, as a debugger sees them.

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
has_probe mm_page_alloc_extfrag 6
has_probe mm_page_pcpu_drain 3
has_probe kmalloc 5
has_probe kfree 2

compile probes probes.c "$BM_LIB" "-Wl,-rpath,${BM_LIB%/*}"
cat >commands <<'EOF'
set pagination off
set confirm off
set startup-with-shell off
break begin
run said
break -probe-stap buddymalloc:kmalloc
commands
silent
printf "kmalloc %#lx %lu %lu ", $_probe_arg1, $_probe_arg2, $_probe_arg3
info symbol $_probe_arg0
continue
end
break -probe-stap buddymalloc:kfree
commands
silent
printf "kfree %#lx ", $_probe_arg1
info symbol $_probe_arg0
continue
end
continue
EOF

if ! need_program gdb gdb; then
	skip 2 "no gdb, and the package gdb could not be installed"
elif ! gdb -nx -batch -ex 'set startup-with-shell off' -ex run --args true 2>&1 </dev/null | grep -q 'exited normally'; then
	skip 2 "gdb cannot run a program here: ptrace is forbidden"
else
	gdb -nx -batch -x commands ./probes >seen.raw 2>&1 </dev/null
	sed -n -e 's/^\(kmalloc\) \(.*\) \(by_[a-z_]*\) .*/\1 \3 \2/p' \
		-e 's/^\(kfree\) \(.*\) \(by_[a-z_]*\) .*/\1 \3 \2/p' seen.raw >seen
	is "$(sed -n 's/^kmalloc \([^ ]*\) .*/\1/p' said | sort -u | wc -l)" 14 "the program has called the whole family"
	cmp -s said seen
	ok $? "kmalloc and kfree: once for each block, with caller, address and sizes" || {
		diff said seen | head -n 20 | diag
		tail -n 5 seen.raw | diag
	}
fi

done_testing
