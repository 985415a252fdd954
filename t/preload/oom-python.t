#!/bin/sh
# SPDX-License-Identifier: MIT
# python3 under limits: what is too large raises MemoryError, and the program goes on; with oom:enomem small objects do
# so, too.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
ulimit -c 0

cat >huge.py <<'END'
for i in range(3):
    try:
        x = [0] * (1 << 28)
        print("had it")
    except MemoryError:
        print("MemoryError")
print(sum(len(str(i)) for i in range(200000)))
END

# Twenty bytes and more each: not even half of them can be had.
cat >small.py <<'END'
l = [None] * 10000000
n = 0
try:
    while True:
        l[n] = str(n)
        n += 1
except MemoryError:
    l = None
print("MemoryError", n > 1000000)
print(sum(len(str(i)) for i in range(200000)))
END

# limited LIMIT COMMAND…
cat >limited <<'SH'
#!/bin/sh
ulimit "$1" 262144 || exit 77
shift
exec "$@"
SH
chmod +x limited

for limit in -v -d; do
	is "$(preloaded ./limited $limit $python huge.py 2>err)" "MemoryError
MemoryError
MemoryError
1088890" "ulimit $limit: a huge list raises MemoryError, and the program goes on" || diag <err
	is "$(cat err)" "" "and nothing is said"
	# Its own allocator of small objects has its memory from mmap.
	is "$(PYTHONMALLOC=malloc BUDDYMALLOC_CONF=oom:enomem preloaded ./limited $limit $python small.py 2>err)" \
		"MemoryError True
1088890" "ulimit $limit, oom:enomem: so do a million small objects" || diag <err
	is "$(cat err)" "" "and nothing is said"
	is "$(BUDDYMALLOC_CONF=oom:enomem preloaded ./limited $limit $python small.py 2>err)" \
		"MemoryError True
1088890" "ulimit $limit, oom:enomem: the same beside its own allocator" || diag <err
	PYTHONMALLOC=malloc LD_PRELOAD=$BM_LIB ./limited $limit $python small.py >out 2>err
	is $? 134 "ulimit $limit: by default that ends it"
	grep -q 'Out of memory: aborting owner python3' err
	ok $? "and it is said why" || diag <err
done
is "$(BUDDYMALLOC_CONF=limit:128m preloaded $python huge.py 2>err)" "MemoryError
MemoryError
MemoryError
1088890" "limit: a huge list raises MemoryError, and the program goes on" || diag <err
served 'python3[^:]*'
ok $? "malloc of python3 was ours"

done_testing
