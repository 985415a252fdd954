#!/bin/sh
# SPDX-License-Identifier: MIT
# kswapd in a program of several threads that knows nothing of it: it is there under a limit, and where much lies idle;
# children made while it works are served as ever, and have none.

. "${top_srcdir:-.}/t/preload/preload.sh"

[ -d /proc/self/task ] || skip_all "no /proc to see threads in"
compile kswapd kswapd.c

# limited KIB COMMAND…: under ulimit -v
cat >limited <<'SH'
#!/bin/sh
ulimit -v "$1" || exit 77
shift
exec "$@"
SH
chmod +x limited

# with CONF COMMAND…
with() {
	with_conf=oom:enomem,$1
	shift
	said=$(BUDDYMALLOC_CONF=$with_conf preloaded "$@" 2>err)
	status=$?
}

with limit:64m ./kswapd seen
is "$status" 0 "limit: kswapd0 is there once memory was used up" || diag <err
with kswapd:auto ./limited 262144 ./kswapd seen
is "$status" 0 "ulimit -v: the same" || diag <err
with limit:64m,kswapd:off ./kswapd none
is "$status $said" "0 0 others" "kswapd:off: no thread but the program's" || diag <err

with limit:64m ./kswapd spawn
is "$status $(echo "$said" | sort | uniq -c | tr -s ' ')" "0  40 sh" \
	"vfork, posix_spawn, system, popen: the children do what they should, and have one thread" || diag <err
with kswapd:auto ./limited 262144 ./kswapd spawn
is "$status $(echo "$said" | sort | uniq -c | tr -s ' ')" "0  40 sh" "ulimit -v: the same" || diag <err

# Without a limit it gives back what lies idle, where the program has threads, and ends with the last but one.
compile idle idle.c
is "$(preloaded ./idle 300)" "given back
alone" "what was freed in a rush hour goes back while nobody does anything"
is "$(preloaded ./idle 300 once)" "given back
alone" "a thread that ends sees to it that there is somebody to do that"
said=$(BUDDYMALLOC_CONF=kswapd:off preloaded ./idle 3)
is "${said#*more}" "
alone" "kswapd:off: nobody gives it back" || diag "$said"

is "$(BUDDYMALLOC_CONF=kswapd:on preloaded ./idle 300 alone)" "given back" \
	"kswapd:on: the same in a program of one thread"
said=$(preloaded ./idle 3 alone)
is "${said#*kB }" more "which keeps it otherwise" || diag "$said"

done_testing
