#!/bin/sh
# SPDX-License-Identifier: MIT
# sqlite3: tables, indexes, joins, transactions rolled back, vacuum, in memory and on disk.

. "${top_srcdir:-.}/t/preload/preload.sh"

require sqlite3 sqlite3

cat >script.sql <<'SQL'
CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, x REAL, b BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO a SELECT i, 'name' || (i * 7919 % 10007), i / 3.0, zeroblob(i % 400) FROM n;
CREATE INDEX a_name ON a (name);
CREATE TABLE g AS SELECT name, count(*) AS c, sum(x) AS s, group_concat(id) AS ids FROM a GROUP BY name;
BEGIN; UPDATE a SET name = name || 'z', b = zeroblob(900) WHERE id % 3 = 0; ROLLBACK;
BEGIN; DELETE FROM a WHERE id % 5 = 0; COMMIT;
SELECT count(*), sum(length(b)), max(name) FROM a;
SELECT a.name, g.c, a.x FROM a JOIN g USING (name) ORDER BY a.x * g.c % 977, a.id LIMIT 2000;
SELECT json_group_array(json_object('n', name, 'c', c)) FROM g WHERE c > 3 ORDER BY name;
SELECT name, row_number() OVER (PARTITION BY substr(name, 1, 5) ORDER BY x) FROM a WHERE id < 3000;
VACUUM;
PRAGMA integrity_check;
.dump g
SQL

alike "sqlite3 in memory" sqlite3 sqlite3 -init /dev/null :memory: '.read script.sql'
alike "sqlite3 on disk" sqlite3 sh -c \
	'rm -f disk.db; sqlite3 -init /dev/null disk.db ".read script.sql" && cksum <disk.db'

done_testing
