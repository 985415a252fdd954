# SPDX-License-Identifier: MIT
"""Real programs for bench/compare --programs: commands, and the input that they need, made in a directory."""

import os
import shutil
import subprocess
import sys

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


def commands(directory):
    """Name to (argument list, file for standard input or None), for the programs that this machine has."""
    where = lambda name: os.path.join(directory, name)
    found, missing = {}, []

    def add(name, prepare, tool=None):
        if shutil.which(tool or name):
            found[name] = prepare()
        else:
            missing.append(tool or name)

    found["python3"] = ([sys.executable, write(where("rows.py"), PYTHON)], None)
    add("gcc", lambda: (["gcc", "-O2", "-c", "-o", where("out.o"), c_source(where("source.c"))], None))
    add("perl", lambda: (["perl", write(where("hash.pl"), PERL)], None))
    add("sqlite3", lambda: (["sqlite3", ":memory:"], write(where("script.sql"), SQL)))
    add("xz", lambda: (["xz", "-T2", "-1", "--block-size=4MiB", "-c", compressible(where("text"))], None))
    add("git", lambda: (["git", "-C", repository(where("repository")), "log", "-p", "--stat", "main"], None))
    add("node", lambda: (["node", write(where("rows.js"), NODE)], None))
    return found, missing
