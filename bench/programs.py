# SPDX-License-Identifier: MIT
"""Real programs for bench/compare --programs: commands, and the input that they need, made in a directory."""

import collections
import glob
import os
import shutil
import subprocess
import sys

# stdin is a file; client is a shell command that runs beside a server, and ends it. cost(output, seconds) is given for a
# program that runs for a set time. The output must be the same under every allocator if same_output.
Program = collections.namedtuple("Program", ("argv", "stdin", "client", "cost", "same_output"),
                                 defaults=(None, None, None, True))

PYTHON = """
import json
tags = lambda i: ["t%d" % (i % k) for k in range(1, 8)]
rows = [{"id": i, "name": "row %d" % i, "tags": tags(i), "x": i / 7} for i in range(60000)]
for _ in range(2):
    text = json.dumps(rows)
    rows = json.loads(text)
index = {}
for row in rows:
    index.setdefault(row["tags"][6], []).append(row["name"] * 2)
print(len(text), len(index))
"""

PERL = """
my %seen; my @lines;
for my $i (1 .. 600000) {
    my $key = "key" . ($i * 7919 % 100003);
    $seen{$key} .= "$i,";
    push @lines, join("-", $key, $i, $i * 3) if $i % 3 == 0;
}
my $sum = 0;
for my $line (sort @lines) { my @part = split /-/, $line; $sum += $part[2]; }
print scalar(keys %seen), " $sum\\n";
"""

NODE = """
const rows = [];
for (let i = 0; i < 150000; i++) rows.push({id: i, name: 'row ' + i, tags: ['a' + i % 7, 'b' + i % 11]});
let text = '';
for (let n = 0; n < 2; n++) text = JSON.stringify(JSON.parse(JSON.stringify(rows)));
const buffers = [];
for (let i = 0; i < 20000; i++) buffers[i % 500] = Buffer.alloc(100 + i % 9000, i);
console.log(text.length, buffers.length);
"""

RUBY = """
words = (1..400_000).map { |i| "w#{i * 7919 % 50_021}" + "x" * (i % 40) }
count = Hash.new(0)
words.each { |w| count[w] += 1 }
tree = words.group_by { |w| w[0, 3] }.transform_values { |list| list.map { |w| { name: w, size: w.size } } }
text = tree.map { |key, list| "#{key}: " + list.map { |e| e[:name].upcase }.join(",") }.join("\\n")
puts count.size, text.size, text.scan(/W1\\d+X/).uniq.size
"""

JAVA = """
import java.util.*;
import java.util.stream.*;
import java.util.zip.*;

class Rows {
    public static void main(String[] args) throws Exception {
        Map<String, List<Integer>> index = new HashMap<>();
        for (int i = 0; i < 400000; i++)
            index.computeIfAbsent("key " + i % 50021, k -> new ArrayList<>()).add(i);
        String text = index.entrySet().stream().sorted(Map.Entry.comparingByKey())
            .map(e -> e.getKey() + e.getValue()).collect(Collectors.joining(";"));
        byte[] bytes = text.getBytes("UTF-8"), out = new byte[bytes.length];
        int length = 0;
        for (int level = 1; level < 7; level++) {
            Deflater deflater = new Deflater(level);
            deflater.setInput(bytes);
            deflater.finish();
            length += deflater.deflate(out);
            deflater.end();
        }
        System.out.println(text.hashCode() + " " + length);
    }
}
"""

PAGES = """%!
/Times-Roman findfont 7 scalefont setfont
1 1 6 { /page exch def
  0 1 90 { /row exch def 20 20 row 8 mul add moveto
    0 1 6 { row 31 mul add page mul 20 string cvs show ( of the text, set in small letters ) show } for } for
  0 1 400 { /k exch def gsave k 13 mul 600 mod k 29 mul 800 mod translate k 7 mul rotate
    k 10 mod 10 div page 7 div 0.5 setrgbcolor 0 0 moveto 90 10 10 90 60 60 curveto closepath fill grestore } for
  << /ShadingType 2 /ColorSpace /DeviceRGB /Coords [0 0 600 800] /Extend [true true]
     /Function << /FunctionType 2 /Domain [0 1] /C0 [1 0 0] /C1 [0 0 1] /N 1 >> >>
  gsave 100 100 300 300 rectclip shfill grestore showpage } for
"""

# Each statement stands on a line of its own, for `postgres --single`.
POSTGRES = """
CREATE TEMP TABLE t AS SELECT i AS id, md5(i::text) AS m, i % 1000 AS k FROM generate_series(1, 200000) i
SELECT count(*), sum(hashtext(m)), min(m), max(m) FROM t
SELECT sum(length(s)) FROM (SELECT k, string_agg(m, ',' ORDER BY m) s FROM t GROUP BY k) a
SELECT count(*) FROM (SELECT m || k, array_agg(id) FROM t GROUP BY 1) a
SELECT length(jsonb_agg(jsonb_build_object('id', id, 'm', m))::text) FROM t WHERE id < 50000
SELECT sum(length(a.m || b.m)) FROM t a JOIN t b ON a.k = b.k AND a.id < b.id WHERE a.k < 20
CREATE TEMP TABLE u AS SELECT regexp_replace(m, '[a-c]+', 'x', 'g') AS r FROM t
DO $$ DECLARE a text[]; BEGIN FOR i IN 1..20000 LOOP a[i % 300] := repeat('y', i % 500); END LOOP; END $$
SELECT sum(hashtext(r)) FROM u
"""

SQL = """
CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, 'key' || (i * 7919 % 50021), hex(i * 31) || printf('%032d', i) FROM n;
CREATE INDEX t_k ON t(k);
SELECT count(*), sum(length(v)) FROM t;
SELECT k, count(*) c, max(v) FROM t GROUP BY k ORDER BY c DESC, k LIMIT 3;
DELETE FROM t WHERE id % 3 = 0;
SELECT count(DISTINCT v) FROM t JOIN (SELECT k kk FROM t WHERE id % 97 = 1) ON k = kk;
"""


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def c_source(path):
    """Ninety functions with loops, switches and calls of each other."""
    lines = ["#include <stdlib.h>", "#include <string.h>", "#include <stdio.h>"]
    for i in range(90):
        callee = f"f{i - 1}(x ^ {i}, p)" if i else "x"
        cases = "".join(f"\tcase {c}: p[i & 15] += x * {c + i}; break;\n" for c in range(12))
        lines.append(f"int f{i}(int x, int *p)\n{{\n\tfor (int i = 0; i < x; i++) switch ((x + i) % {13 + i % 5}) {{\n"
                     f"{cases}\tdefault: p[(i * {i + 3}) & 15] ^= (int)strlen(\"text {i}\");\n\t}}\n"
                     f"\treturn x > {i} ? {callee} : p[{i % 16}];\n}}")
    lines.append("int main(int argc, char **argv) { int p[16] = { 0 }; return printf(\"%d\", f89(argc, p)) + !argv; }")
    return write(path, "\n".join(lines) + "\n")


def compressible(path):
    """About 20 MB of text that repeats itself irregularly."""
    state, parts = 1, []
    for _ in range(400000):
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        parts.append(f"{state >> 50:x} line of text number {state >> 58}, {state >> 33}\n")
    return write(path, "".join(parts))


def repository(path):
    """A bare git repository of 12000 commits over 60 files."""
    subprocess.run(["git", "init", "-q", "--bare", path], check=True)
    stream = []
    for n in range(12000):
        text = "".join(f"line {k} of {n // 3 + k * n % 17}\n" for k in range(40))
        subject = f"commit {n}"
        stream.append(f"commit refs/heads/main\ncommitter A <a@example.org> {1600000000 + n * 60} +0000\n"
                      f"data {len(subject)}\n{subject}\nM 100644 inline dir{n % 6}/file{n % 60}\n"
                      f"data {len(text)}\n{text}\n")
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
    return path


def theorems(path):
    """Sums of integers and a product of bits, which can be had, and one more pigeon than holes."""
    hole = lambda p, h: f"p{p}h{h}"
    pigeons, holes = range(9), range(8)
    lines = [f"(declare-const {hole(p, h)} Bool)" for p in pigeons for h in holes]
    x = [i * 37 % 800 + 50 for i in range(60)]
    lines += [f"(declare-const x{i} Int)(assert (< 0 x{i} 900))" for i in range(60)]
    lines += [f"(assert (= (+ x{i} (* 3 x{i + 1}) (- x{i + 2})) {x[i] + 3 * x[i + 1] - x[i + 2]}))" for i in range(58)]
    lines += [f"(declare-const {v} (_ BitVec 34))(assert (bvult (_ bv1 34) {v}))(assert (bvult {v} (_ bv50000 34)))"
              for v in "ab"]
    lines += ["(assert (= (bvmul a b) (_ bv400880363 34)))", "(check-sat)"]
    lines += [f"(assert (or {' '.join(hole(p, h) for h in holes)}))" for p in pigeons]
    lines += [f"(assert (not (and {hole(p, h)} {hole(q, h)})))" for h in holes for p in pigeons for q in range(p)]
    return write(path, "\n".join(lines) + "\n(check-sat)\n")


def redis_commands(path):
    """Strings, lists, hashes, and sorted sets, which are written, grow and are deleted."""
    parts = []
    for i in range(250000):
        key = i * 7919 % 60013
        one = (("HSET", f"h:{key % 5003}", f"f{i % 50}", f"{i}-{'w' * (i % 70)}"), ("RPUSH", f"l:{key % 997}", f"item {i}"),
               ("ZADD", f"z:{key % 499}", f"{i % 1000}", f"m{i % 3001}"), ("APPEND", f"a:{key % 2003}", "y" * (i % 40 + 1)),
               ("DEL", f"s:{key * 13 % 60013}"), ("LPOP", f"l:{key % 991}"))[i % 6]
        for words in ("SET", f"s:{key}", "v" * (i * 31 % 300) + str(i)), one:
            parts.append(f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words))
    return write(path, "".join(parts))


def redis(where):
    cli = f"redis-cli -s {where('redis.sock')}"
    client = (f"for try in $(seq 100); do {cli} ping >/dev/null 2>&1 && break; sleep 0.1; done;"
              f"{cli} --pipe <{redis_commands(where('redis'))}; {cli} dbsize; {cli} strlen s:17; {cli} shutdown nosave")
    return Program(["redis-server", "--port", "0", "--unixsocket", where("redis.sock"), "--dir", where("."),
                    "--save", "", "--logfile", where("log")], client=client)


def postgres(where, binaries):
    """A server on its own, not as root."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
    os.mkdir(where("postgres"))
    if user:
        os.chmod(where("."), 0o711)
        shutil.chown(where("postgres"), "postgres")
    data = where("postgres/data")
    subprocess.run([*user, binaries + "/initdb", "-N", "-A", "trust", "--locale=C", "-E", "UTF8", "-D", data],
                   stdout=subprocess.DEVNULL, check=True)
    return Program([*user, binaries + "/postgres", "--single", "-F", "-D", data, "-c", "work_mem=64MB",
                    "-c", "jit=off", "template1"], write(where("postgres.sql"), POSTGRES.lstrip()))


def commands(directory):
    """Name to Program for those that this machine has, and the names of those missing."""
    where = lambda name: os.path.join(directory, name)
    found, missing = {}, []

    def add(name, prepare, tool=None):
        if shutil.which(tool or name):
            found[name] = prepare()
        else:
            missing.append(tool or name)

    add("python3", lambda: Program([sys.executable, write(where("rows.py"), PYTHON)]))
    for name in "gcc", "clang":
        add(name, lambda name=name: Program([name, "-O2", "-c", "-o", where("out.o"), c_source(where("source.c"))]))
    add("perl", lambda: Program(["perl", write(where("hash.pl"), PERL)]))
    add("ruby", lambda: Program(["ruby", write(where("words.rb"), RUBY)]))
    add("sqlite3", lambda: Program(["sqlite3", ":memory:"], write(where("script.sql"), SQL)))
    add("xz", lambda: Program(["xz", "-T2", "-1", "--block-size=4MiB", "-c", compressible(where("text"))]))
    add("git", lambda: Program(["git", "-C", repository(where("repository")), "log", "-p", "--stat", "main"]))
    add("gs", lambda: Program(["gs", "-q", "-dBATCH", "-dNOPAUSE", "-r150", "-sDEVICE=png16m", "-sOutputFile=%stdout",
                               write(where("pages.ps"), PAGES)]))
    add("z3", lambda: Program(["z3", theorems(where("theorems.smt2"))]))
    add("node", lambda: Program(["node", write(where("rows.js"), NODE)]))
    add("java", lambda: Program(["java", "-Xmx256m", "-XX:+UseSerialGC", write(where("Rows.java"), JAVA)]), "javac")
    add("redis", lambda: redis(where), "redis-server")
    initdb = shutil.which("initdb", path=":".join([*glob.glob("/usr/lib/postgresql/*/bin"), os.environ["PATH"]]))
    add("postgres", lambda: postgres(where, os.path.dirname(initdb)), initdb or "initdb")
    return found, missing
