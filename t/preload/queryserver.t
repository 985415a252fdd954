#!/bin/sh
# SPDX-License-Identifier: MIT
# examples/queryserver.c: a query that asks for too much is answered so, the others get their answers, the server lives
# on; whether the system limits the process, in either way, the configuration the heap, or the server each query. Without the abort
# callback it does not.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3
conf=
unread=unread
server=$top_builddir/examples/queryserver

cleanup() {
	[ -z "${pid:-}" ] || stop KILL "$pid"
}

# ask COMMAND…: start the server by COMMAND, let the clients ask, and end it. Its status is in status, what it said in
# said and err, what the clients found in found.
ask() {
	rm -f "$STATS_FILE"
	: >said
	BUDDYMALLOC_CONF=${conf:+$conf,}show_stats:true,stats_file:$STATS_FILE "$@" >said 2>err &
	pid=$!
	wait_for grep -q '^port' said || diag <err
	timeout 300 python3 "$src/queryserver.py" "$(sed -n 's/^port //p' said)" $unread >found 2>&1 || diag <found
	kill "$pid" 2>/dev/null
	wait_for gone "$pid" || kill -KILL "$pid"
	wait "$pid"
	status=$?
	pid=
}

found() {
	sed -n "s/^$1: //p" found
}

# limited OPTION KIB COMMAND…
cat >limited <<'SH'
#!/bin/sh
ulimit "$1" "$2" || exit 77
shift 2
exec "$@"
SH
chmod +x limited

# outlives WHAT COMMAND…
outlives() {
	what=$1
	shift
	ask "$@"
	is "$(found 'too many small ones')" "out of memory" "$what: the query that asks for too many blocks is told"
	is "$(found 'one too large')" "out of memory" "$what: so is one that asks for a block too large"
	is "$(found 'wrong answers of the others')" 0 "$what: five others at the same time are answered rightly"
	is "$(found 'and afterwards')" "True True True" "$what: and so are those that come after" || diag <found
	is "$(found 'a line too long')" "error: that is no query: too long and the end" "$what: a line is one query, or none"
	is "$status" 0 "$what: the server ends when it is told to" || tail -n 20 err | diag
	served queryserver
	ok $? "$what: the library served it"
}

# The query that holds the most is at the head of the table of owners; it is the one that is told, and the only one.
reported() {
	sed -n '/Owners state/{n;n;p;q;}' err | grep -q '^buddymalloc: \[ *[0-9]*\] named .* SUM 1000000000$'
	ok $? "$what: the report has that query first" || head -n 40 err | diag
	is "$(sed -n 's/^buddymalloc: Out of memory.*: aborting owner \(.*\) (thread.*/\1/p' err)" "SUM 1000000000" \
		"$what: it is aborted, and nobody else"
	[ "$(found then | sed 's/.* \([0-9]*\) shrunk$/\1/')" -gt 0 ]
	ok $? "$what: the cache was shrunk before" || diag <found
}

outlives "ulimit -d" ./limited -d 65536 "$server" -t 8
reported
unread=

# The report in doc/pressure.md is one of that kind: each of its lines begins as one of these, up to the first figure.
sed -n '/^```$/,/^```$/p' "$top_srcdir/doc/pressure.md" | grep '^buddymalloc: ' | sed 's/ *\[\.\.\.\]$//; s/[0-9].*//' >begins
: >missing
while IFS= read -r line; do
	grep -qF -e "$line" err || echo "$line" >>missing
done <begins
[ "$(wc -l <begins)" -ge 12 ] && [ ! -s missing ]
ok $? "the report in doc/pressure.md is as this one" || diag <missing

outlives "ulimit -v" ./limited -v 98304 "$server" -t 8
reported
conf=limit:48m
outlives "limit:48m" "$server" -t 8
reported
conf=
outlives "16 MiB for each query" "$server" -t 8 -l 16
reported

# The same server without the callback: whoever holds the most is ended, and the server with it.
grep -v '\.abort = cancel,' "$top_srcdir/examples/queryserver.c" >without.c
cmp -s without.c "$top_srcdir/examples/queryserver.c"
is $? 1 "the callback is left out"
${CC:-gcc} -std=gnu11 -O1 -g -I"$top_srcdir/include" -pthread -o without without.c "$BM_LIB" -Wl,-rpath,"${BM_LIB%/*}" 2>cc.err ||
	bail_out "cannot compile: $(tail -n 3 cc.err)"
conf=limit:48m
ask ./without -t 8
is $status 134 "without it the server dies by SIGABRT"

done_testing
