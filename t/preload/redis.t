#!/bin/sh
# SPDX-License-Identifier: MIT
# redis-server under redis-benchmark with a background save in the middle of it; the dump can be loaded, and what
# it holds is what a server without the library holds.

. "${top_srcdir:-.}/t/preload/preload.sh"

require redis-server redis-server
require redis-benchmark redis-tools

server=
cleanup() {
	[ -z "$server" ] || stop KILL "$server"
}

cli() {
	redis-cli -s "$TEST_DIR/redis.sock" "$@"
}

# start_server COMMAND…: COMMAND redis-server on this directory's socket; its process is $server.
start_server() {
	rm -f redis.sock
	"$@" redis-server --port 0 --unixsocket "$TEST_DIR/redis.sock" --dir "$TEST_DIR" --save '' --daemonize no \
		>>server.log 2>&1 &
	server=$!
	wait_for cli ping || {
		diag <server.log
		bail_out "redis-server does not answer"
	}
}

# shutdown_server: as the server likes it; true if it exits with status 0.
shutdown_server() {
	cli shutdown nosave
	wait_for gone "$server" && wait "$server"
	shutdown_status=$?
	server=
	return $shutdown_status
}

ours() {
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=show_stats:true,stats_file:$STATS_FILE exec "$@"
}

fill() {
	cli eval 'for i = 1, 20000 do
			redis.call("set", "fixed:s" .. i, string.rep("v" .. i, i % 60))
			redis.call("hset", "fixed:h" .. i % 500, "f" .. i, "v" .. i)
			redis.call("rpush", "fixed:l" .. i % 300, i)
			redis.call("zadd", "fixed:z" .. i % 100, i, "m" .. i)
			redis.call("append", "fixed:a", string.rep("a", i % 200))
			if i % 3 == 0 then redis.call("del", "fixed:s" .. i - 1) end
		end' 0 >/dev/null
}

query() {
	cli eval 'local keys, out = redis.call("keys", "fixed:*"), {}
		table.sort(keys)
		for _, k in ipairs(keys) do
			local t = redis.call("type", k).ok
			local v
			if t == "string" then v = redis.call("get", k)
			elseif t == "hash" then v = redis.call("hgetall", k); table.sort(v)
			elseif t == "list" then v = redis.call("lrange", k, 0, -1)
			else v = redis.call("zrange", k, 0, -1, "withscores") end
			out[#out + 1] = k .. " " .. redis.sha1hex(type(v) == "table" and table.concat(v, ",") or v)
		end
		return out' 0
}

saved() {
	cli info persistence | tr -d '\r' | grep -q '^rdb_bgsave_in_progress:0$'
}

start_server
fill
query >plain.out
shutdown_server
[ "$(wc -l <plain.out)" -gt 10000 ] || bail_out "a server without the library did not answer"

start_server ours
serves_pid "$server"
ok $? "the library is in the server and its heap is not from brk"
succeeds "filled" fill
redis-benchmark -s "$TEST_DIR/redis.sock" -q -c 20 -n 20000 -r 2000 -d 700 \
	-t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_300,mset >bench.out 2>&1 &
bench=$!
sleep 1
succeeds "a background save starts under load" cli bgsave
wait $bench
ok $? "redis-benchmark ran to its end" || tail -n 5 bench.out | diag
wait_for saved
ok $? "the background save ends"
is "$(cli info persistence | tr -d '\r' | sed -n 's/^rdb_last_bgsave_status://p')" ok "it succeeded"
query >ours.out
cmp plain.out ours.out
ok $? "the server answers like one without the library"
cli flushall >/dev/null
shutdown_server
ok $? "the server shuts down with status 0"
served redis-server
ok $? "malloc of redis-server was ours"

start_server
query >loaded.out
cmp plain.out loaded.out
ok $? "the dump is loaded by a server without the library"
shutdown_server
start_server ours
query >loaded.out
cmp plain.out loaded.out
ok $? "and by one with it"
shutdown_server
ok $? "which shuts down with status 0"

done_testing
