#!/bin/sh
# SPDX-License-Identifier: MIT
# Under a limit of 1 GiB memory is filled to the last and freed: a thread starts then, and 64 MiB can be had by mmap and
# by malloc, whichever limit it is. And a Python that asks for too much goes on.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3

compile limit limit.c
cat >limited <<'SH'
#!/bin/sh
ulimit "$1" "$2" || exit 77
shift 2
exec "$@"
SH
chmod +x limited

enomem=oom:enomem
done="filled thread ok mmap ok malloc ok"
for touch in touch ""; do
	for limit in -v -d; do
		said=$(BUDDYMALLOC_CONF=$enomem preloaded ./limited $limit 1048576 ./limit fill $touch 2>err)
		is "$? $said" "0 $done" "ulimit $limit: 1 GiB filled ${touch:+and touched }and freed serves others"
		diag <err
		served limit
		ok $? "by the library"
	done
	said=$(BUDDYMALLOC_CONF=$enomem,limit:1g preloaded ./limit fill $touch 2>err)
	is "$? $said" "0 $done" "limit:1g filled ${touch:+and touched }and freed serves others"
	diag <err
done

# Memory that is missed again and again stays longer, but not when nothing is in use.
for limit in -v -d; do
	for kib in 131072 307200; do
		said=$(BUDDYMALLOC_CONF=$enomem preloaded ./limited $limit $kib ./limit again 2>err)
		is "$? $said" "0 ok ok ok " "ulimit $limit: $((kib / 1024)) MiB filled and freed three times are others' each time"
		diag <err
	done
done

# The limits as the library sees them.
is "$(preloaded ./limited -v 1048576 ./limit)" "RLIMIT_AS 1073741824" "ulimit -v binds"
is "$(preloaded ./limited -d 524288 ./limited -v 1048576 ./limit)" "RLIMIT_DATA 536870912" "the smaller of two binds"
is "$(BUDDYMALLOC_CONF=limit:100m preloaded ./limited -v 1048576 ./limit)" "limit 104857600" "and so does limit:"
said=$(preloaded ./limit)
case $said in
cgroup*) skip 1 "this test runs in a cgroup with a limit: $said" ;;
*) is "$said" "none 0" "else none does" ;;
esac

for limit in -v -d; do
	said=$(BUDDYMALLOC_CONF= preloaded ./limited $limit 524288 $python -c '
try:
    a = [0] * 200000000
except MemoryError:
    print("MemoryError")
b = list(range(1000000))
print(len(b), sum(b))
' 2>&1)
	is "$? $said" "0 MemoryError
1000000 499999500000" "ulimit $limit: python3 goes on after a list that is too large"
	said=$(BUDDYMALLOC_CONF=$enomem preloaded ./limited $limit 131072 $python -c '
a = []
try:
    while True:
        a.append(str(len(a)) * 10)
except MemoryError:
    a = None
    print("MemoryError")
print(len([str(i) for i in range(100000)]))
' 2>&1)
	is "$? $said" "0 MemoryError
100000" "ulimit $limit: and after a million small objects, with oom:enomem"
done

# A memory cgroup of version 1 that this test may make.
find_cgroup() {
	own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup 2>/dev/null)
	for cgroup in /sys/fs/cgroup/memory$own /sys/fs/cgroup/memory; do
		if mkdir "$cgroup/buddymalloc-$$" 2>/dev/null; then
			cgroup=$cgroup/buddymalloc-$$
			echo 268435456 2>/dev/null >"$cgroup/memory.limit_in_bytes" && return
			rmdir "$cgroup"
		fi
	done
	cgroup=
	return 1
}
cleanup() {
	[ -z "$cgroup" ] || wait_for rmdir "$cgroup"
}
# in_cgroup COMMAND…
in_cgroup() {
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$@"
}
if find_cgroup; then
	is "$(preloaded in_cgroup ./limit)" "cgroup 268435456" "a memory cgroup binds"
	is "$(preloaded in_cgroup ./limit untouched)" ok "memory that is not touched is not refused"
	said=$(BUDDYMALLOC_CONF=$enomem preloaded in_cgroup ./limit fill touch 2>err)
	is "$? $said" "0 $done" "malloc says no before the cgroup kills"
	diag <err
else
	skip 3 "no memory cgroup of version 1 can be made here"
fi

done_testing
