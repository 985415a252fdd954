#!/bin/sh
# SPDX-License-Identifier: MIT
# bash pipelines: many short processes, substitutions, arrays, here-documents, and the tools between the pipes.

. "${top_srcdir:-.}/t/preload/preload.sh"

require bash bash

cat >pipes.sh <<'SH'
set -e -o pipefail
seq 1 20000 | sort -R --random-source=<(yes) | sort -n | uniq | awk '{ s += $1 * NR } END { print s }'
declare -A count
while read -r word; do count[$word]=$((${count[$word]:-0} + 1)); done < <(seq 1 5000 | sed 's/.*\(.\)$/k\1/')
for key in $(printf '%s\n' "${!count[@]}" | sort); do echo "$key ${count[$key]}"; done
array=(); for i in {1..3000}; do array+=("item $i ${array[i / 2]:0:20}"); done
printf '%s\n' "${array[@]}" | cksum
text=$(seq 1 30000); echo "${#text} ${text//1/one}" | cksum
for i in {1..100}; do (echo "$i" | cat | tr 0-9 a-j) & wait; done | cksum
cat <<-EOF | tr a-z A-Z | rev
	$(for i in {1..50}; do echo "line $i"; done)
EOF
seq 1 100000 | split -l 10000 --filter='gzip -n | gzip -d | md5sum' -
mkdir -p tree/{1..20}/{a..j} && touch tree/{1..20}/{a..j}/file
find tree -type f | sort | xargs -n 7 echo | cksum
exec true
SH

alike "bash pipelines" bash bash -c '. ./pipes.sh; exit' bash
preloaded bash -c '(. ./pipes.sh); exit' >/dev/null
missing=
for program in bash sort awk sed tr cat seq gzip md5sum xargs; do
	has_served "[^:]*$program" || missing="$missing $program"
done
is "$missing" "" "every program of the pipelines was served"

done_testing
