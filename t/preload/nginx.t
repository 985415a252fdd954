#!/bin/sh
# SPDX-License-Identifier: MIT
# nginx with several workers under ab, reloaded in the middle of it.

. "${top_srcdir:-.}/t/preload/preload.sh"

require perl perl
require nginx nginx-light
require ab apache2-utils

server=
cleanup() {
	[ -z "$server" ] || stop KILL "$server"
}

mkdir -p www logs tmp && seq 1 30000 >www/numbers.txt && echo '<p>hello</p>' >www/index.html
open_to_others

# configure PORT
configure() {
	user=
	[ "$(id -u)" -ne 0 ] || user="user nobody $(id -gn nobody);"
	cat >nginx.conf <<-CONF
		$user
		daemon off; worker_processes 3; pid $TEST_DIR/nginx.pid; error_log $TEST_DIR/logs/error.log;
		env LD_PRELOAD; env BUDDYMALLOC_CONF;
		events { worker_connections 256; }
		http {
			access_log $TEST_DIR/logs/access.log; types { text/plain txt; text/html html; }
			client_body_temp_path $TEST_DIR/tmp/b; proxy_temp_path $TEST_DIR/tmp/p; fastcgi_temp_path $TEST_DIR/tmp/f;
			uwsgi_temp_path $TEST_DIR/tmp/u; scgi_temp_path $TEST_DIR/tmp/s;
			gzip on; gzip_types text/plain; output_buffers 4 64k; sendfile off;
			server {
				listen 127.0.0.1:$1; root $TEST_DIR/www;
				location /proxy/ { proxy_pass http://127.0.0.1:$1/; proxy_buffers 16 32k; }
			}
		}
	CONF
}

# fetch PATH: body of an answer, unzipped.
fetch() {
	perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0]) or die;
		print $s "GET $ARGV[1] HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"; local $/; my $r = <$s>;
		$r =~ s/^HTTP\S* 200.*?\r\n\r\n//s or die $r; print $r' "$port" "$1" >body &&
		{ gzip -dc <body 2>/dev/null || cat body; }
}

answers_or_is_gone() {
	fetch /index.html || gone "$server"
}

# start_server COMMAND…: on a free port; another one if somebody else was faster.
start_server() {
	for _ in 1 2 3 4 5; do
		port=$(free_port)
		configure "$port"
		"$@" nginx -p "$TEST_DIR" -e "$TEST_DIR/logs/error.log" -c "$TEST_DIR/nginx.conf" >>server.log 2>&1 &
		server=$!
		wait_for answers_or_is_gone && ! gone "$server" && return
		stop KILL "$server"
	done
	cat server.log logs/error.log | diag
	bail_out "nginx does not answer"
}

ours() {
	LD_PRELOAD=$BM_LIB BUDDYMALLOC_CONF=show_stats:true,stats_file:$STATS_FILE exec "$@"
}

workers() {
	cat "/proc/$server/task/$server/children" 2>/dev/null || pgrep -P "$server"
}

# What ab was told by all of the servers: requests that were answered, and with how many bytes.
load() {
	ab -q -n 4000 -c 20 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port$1" >ab.out 2>&1 || return
	grep -E '^(Complete|Failed|Non-2xx|HTML transferred)' ab.out
}

reloaded() {
	for worker in $old_workers; do gone "$worker" || return; done
}

urls='/numbers.txt /index.html /proxy/numbers.txt'

start_server
for url in $urls; do load "$url"; fetch "$url" | cksum; done >plain.out
stop QUIT "$server"
[ "$(grep -c 'Complete requests: *4000' plain.out)" -eq 3 ] || bail_out "ab against nginx without the library failed"

start_server ours
for url in $urls; do load "$url"; fetch "$url" | cksum; done >ours.out
cmp plain.out ours.out
ok $? "ab and the bodies are as without the library" || diff plain.out ours.out | diag

old_workers=$(workers)
is "$(echo $old_workers | wc -w)" 3 "three workers"
for pid in $server $old_workers; do
	serves_pid "$pid"
	ok $? "process of nginx: the library is there and the heap is not from brk"
done

kill -s HUP "$server"
wait_for reloaded
ok $? "old workers go when the configuration is loaded again"
for url in $urls; do load "$url"; fetch "$url" | cksum; done >ours.out
cmp plain.out ours.out
ok $? "the new ones answer the same"
stop QUIT "$server"
ok $? "nginx ends with status 0"
server=
is "$(grep -c 'buddymalloc [^ ]* pid [0-9]* nginx' "$STATS_FILE")" 7 "malloc of the master and of six workers was ours"

done_testing
