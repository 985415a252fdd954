#!/bin/sh
# SPDX-License-Identifier: MIT
# PostgreSQL: initdb, the server, its background processes, and pgbench, all of them under the library.

. "${top_srcdir:-.}/t/preload/preload.sh"

require postgres postgresql

server=
cleanup() {
	[ -z "$server" ] || stop KILL "$server"
}

# The server refuses to be root.
as=
if [ "$(id -u)" -eq 0 ]; then
	id postgres >/dev/null 2>&1 || skip_all "there is no user postgres to run the server as"
	need_program setpriv util-linux || skip_all "no setpriv to become postgres"
	as='setpriv --reuid=postgres --regid=postgres --init-groups'
fi
open_to_others
mkdir run && { [ -z "$as" ] || chown postgres run; }
cd run || bail_out "no directory to run in"
export HOME="$PWD" PGHOST="$PWD" PGDATABASE=postgres PGUSER=tester

ours() {
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=show_stats:true,stats_file:$STATS_FILE "$@"
}
exec_ours() {
	ours exec "$@"
}

# start_server DATA COMMAND…
start_server() {
	data=$1
	shift
	"$@" $as postgres -D "$data" -k "$PWD" -c listen_addresses= -c fsync=off -c max_parallel_workers_per_gather=2 \
		>>"$TEST_DIR/server.log" 2>&1 &
	server=$!
	wait_for $as psql -c 'select 1' || {
		tail -n 20 "$TEST_DIR/server.log" | diag
		bail_out "postgres does not answer"
	}
}

cat >"$TEST_DIR/query.sql" <<'SQL'
CREATE TABLE IF NOT EXISTS t AS SELECT i AS id, md5(i::text) AS m, i % 1000 AS k FROM generate_series(1, 60000) i;
CREATE INDEX IF NOT EXISTS t_k ON t (k);
ANALYZE t;
SELECT count(*), sum(hashtext(m)), min(m), max(m) FROM t;
SELECT k, count(*), string_agg(m, ',' ORDER BY m) FROM t GROUP BY k ORDER BY k LIMIT 20;
SELECT sum(length(a.m || b.m)) FROM t a JOIN t b ON a.k = b.k AND a.id < b.id WHERE a.k < 50;
SELECT jsonb_agg(jsonb_build_object('id', id, 'm', m)) FROM t WHERE id < 200;
SELECT count(*) FROM t WHERE m ~ '^[a-f]+[0-9]{2}';
DO $$ BEGIN FOR i IN 1..2000 LOOP
	BEGIN PERFORM 1 / (i % 2); EXCEPTION WHEN division_by_zero THEN NULL; END;
END LOOP; END $$;
SQL

initdb='initdb -U tester -A trust -E UTF8 --locale=C -D'
$as $initdb plain >initdb.out 2>&1 || { diag <initdb.out; bail_out "initdb fails without the library"; }
start_server plain
$as psql -qAt -f "$TEST_DIR/query.sql" >"$TEST_DIR/plain.out" 2>&1
stop INT "$server"

succeeds "initdb" ours $as $initdb ours
served initdb
ok $? "malloc of initdb was ours"

start_server ours exec_ours
ours $as psql -qAt -f "$TEST_DIR/query.sql" >"$TEST_DIR/ours.out" 2>&1
cmp "$TEST_DIR/plain.out" "$TEST_DIR/ours.out"
ok $? "queries are answered as without the library" || diff "$TEST_DIR/plain.out" "$TEST_DIR/ours.out" | head | diag
served psql
ok $? "malloc of psql was ours"

$as psql -qAtc "select pg_read_file('/proc/self/maps')" >"$TEST_DIR/maps" 2>&1
grep -qF "$BM_LIB" "$TEST_DIR/maps"
ok $? "the library is in a backend" || head -n 5 "$TEST_DIR/maps" | diag
is "$($as psql -qAtc "select pg_read_file('/proc/self/smaps')" | heap_kb)" 0 "whose heap is not from brk"
serves_pid "$server"
ok $? "the library is in the server and its heap is not from brk"

succeeds "pgbench -i" ours $as pgbench -q -i -s 2
succeeds "pgbench" ours $as pgbench -n -c 6 -j 2 -t 150
is "$($as psql -qAtc 'select count(*) from pgbench_history')" 900 "every transaction of pgbench is there"
is "$($as psql -qAtc 'select sum(abalance) = (select sum(bbalance) from pgbench_branches) from pgbench_accounts')" t \
	"and the books balance"
served pgbench
ok $? "malloc of pgbench was ours"

stop INT "$server"
ok $? "the server stops with status 0"
server=
served 'postgres.*'
ok $? "malloc of postgres was ours"

done_testing
