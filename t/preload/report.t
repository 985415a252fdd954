#!/bin/sh
# SPDX-License-Identifier: MIT
# bench/report makes one page of a small run: every part is there, its plots are well-formed, and it needs no other file.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3

build=$(cd "$top_builddir" && pwd)
succeeds "a report of two workloads" "$top_srcdir/bench/report" --build "$build" --runs 1 --scale 0.001 \
	--workloads small,mixed --only ours --out report.html

cat >check.py <<'EOF'
import html.parser, re, sys, xml.dom.minidom
page = open("report.html", encoding="utf-8").read()
plots = re.findall("<svg.*?</svg>", page, re.S)
for plot in plots:
    xml.dom.minidom.parseString(plot)
    # A line for each allocator, of as many points as the curve has.
    lines = [line.split() for line in re.findall('<polyline points="([^"]*)"', plot)]
    assert not lines or (len(lines) == 2 and len(lines[0]) == len(lines[1]) >= 1), lines
print(len(plots), sum("<polyline" in plot for plot in plots))
assert not re.search(r'(src|href)=', page), "it needs other files"
rows = re.findall(r"<tr><td>(small|mixed)</td><td>([0-9.]+) ", page)
print(len(rows), all(float(ratio) > 0 for _, ratio in rows))
print(len(re.findall(r"<tr><td>(?:glibc|ours)</td>(?:<td>[0-9]+</td>){5}</tr>", page)))
EOF
python3 check.py >found 2>&1
is "$(cat found)" "7 6
6 True
4" "bars, six curves, three figures of each workload, latencies of both calls"

"$top_srcdir/bench/report" --build "$build" --out missing/report.html 2>errors
is "$? $(grep -c "missing/report.html: No such file" errors)" "1 1" "a page that cannot be written is told before the runs"

done_testing
