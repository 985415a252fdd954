#!/bin/sh
# SPDX-License-Identifier: MIT
# 64 MiB of address space, or of data, are enough to start and to run; past that, malloc says ENOMEM.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3

compile fill fill.c
seq 1 60000 | sed 's/$/ some text to sort/' >lines

# limited LIMIT COMMAND…: under ulimit -v or -d of 64 MiB
cat >limited <<'SH'
#!/bin/sh
ulimit "$1" 65536 || exit 77
shift
exec "$@"
SH
chmod +x limited

for limit in -v -d; do
	alike "ulimit $limit: ls | sort | tail" sort ./limited $limit sh -c 'ls -R /usr/share/doc | sort | tail -1'
	alike "ulimit $limit: python3" 'python3[^:]*' ./limited $limit $python -c \
		'import json; print(len(json.dumps(list(range(100000)))), sum(len(str(i)) for i in range(200000)))'
	alike "ulimit $limit: sort" sort ./limited $limit sort -r -S 8M --parallel=1 lines
	alike "ulimit $limit: bash" bash ./limited $limit bash -c \
		'a=(); for i in {1..20000}; do a+=("$i"); done; echo ${#a[*]}'
	said=$(BUDDYMALLOC_CONF=oom:enomem preloaded ./limited $limit ./fill)
	is "$? $said" "0 done" "ulimit $limit: all of memory, again and again, until ENOMEM"
	served fill
	ok $? "ulimit $limit: malloc of fill was ours"
done

done_testing
