#!/bin/sh
# SPDX-License-Identifier: MIT
# doc/porting.md is complete and true to the tree: every name of the kernel's texts (t/lib/seed-names.txt) has its one
# row; what a row names as ours is in the file that it names; and the test that it names is there.

. "${top_srcdir:-.}/t/preload/preload.sh"

names=$top_srcdir/t/lib/seed-names.txt
table=$top_srcdir/doc/porting.md

# rows: NAME<tab>OURS<tab>FILES<tab>TESTFILE<tab>CASE, a line for each row; what is not in backquotes or quotation marks
# is left out of the cells, and names in a cell are separated by blanks.
awk -F '|' '
	function code(cell,    out) {
		while (match(cell, /`[^`]*`/)) {
			out = out (out ? " " : "") substr(cell, RSTART + 1, RLENGTH - 2)
			cell = substr(cell, RSTART + RLENGTH)
		}
		return out
	}
	/^\| *`/ {
		name = code($2); test = code($6); text = ""
		if (match($6, /".*"/))
			text = substr($6, RSTART + 1, RLENGTH - 2)
		printf "%s\t%s\t%s\t%s\t%s\t%d\n", name, code($3), code($4), test, text, NF
	}' "$table" >rows

grep -v '^#' "$names" >wanted
LC_ALL=C sort -c wanted 2>/dev/null && [ "$(uniq -d wanted | wc -l)" -eq 0 ]
ok $? "seed-names.txt is sorted, each name once"

cut -f 1 rows | LC_ALL=C sort >named
is "$(LC_ALL=C comm -23 wanted named | tr '\n' ' ')" "" "every name of the kernel's texts has a row"
is "$(uniq -d named | tr '\n' ' ')" "" "and no name has two"
is "$(awk -F '\t' '$6 != 7 { print $1 }' rows | tr '\n' ' ')" "" "every row has five cells"

# Where ours is a name, it is a word of one of the files named.
tab=$(printf '\t')
: >missing.ours
while IFS= read -r row; do
	name=${row%%"$tab"*} rest=${row#*"$tab"}
	ours=${rest%%"$tab"*} rest=${rest#*"$tab"}
	files=${rest%%"$tab"*}
	for file in $files; do
		[ -f "$top_srcdir/lib/$file" ] || [ -f "$top_srcdir/$file" ] || echo "$name: no file $file" >>missing.ours
	done
	[ -z "$ours" ] || [ -n "$files" ] || echo "$name: no file named" >>missing.ours
	for word in $ours; do
		(cd "$top_srcdir/lib" && cat $(for file in $files; do [ -f "$file" ] && echo "$file" || echo "../$file"; done)) \
			2>/dev/null | grep -qwF -e "$word" || echo "$name: no $word in $files" >>missing.ours
	done
done <rows
is "$(head -n 20 missing.ours)" "" "what is ours is in the file that the row names"

# The test is a file of the tree, and the case a text in it.
: >missing.tests
while IFS= read -r row; do
	name=${row%%"$tab"*} rest=${row#*"$tab"*"$tab"*"$tab"}
	file=${rest%%"$tab"*} rest=${rest#*"$tab"}
	text=${rest%%"$tab"*}
	if [ -z "$file" ] || [ -z "$text" ]; then
		echo "$name: names no test" >>missing.tests
	elif [ ! -f "$top_srcdir/$file" ]; then
		echo "$name: no file $file" >>missing.tests
	elif ! grep -qF -e "$text" "$top_srcdir/$file"; then
		echo "$name: no \"$text\" in $file" >>missing.tests
	fi
done <rows
is "$(head -n 20 missing.tests)" "" "the test that the row names is there"

# Only tests that are run prove anything.
cut -f 4 rows | sort -u | grep . | while read -r file; do
	grep -qF -e "${file%.c*}" "$top_srcdir/t/tests.am" || echo "$file"
done >not.run
is "$(tr '\n' ' ' <not.run)" "" "and is one that make check runs"

# BUILD_BUG_ON has no place of its own where it could be seen to work.
printf '#include "base/compiler.h"\nBUILD_BUG_ON(WRONG);\n' >bug.c
${CC:-gcc} -I"$top_srcdir/lib" -DWRONG=0 -c -o bug.o bug.c 2>bug.err
is $? 0 "BUILD_BUG_ON of what is not so" || diag <bug.err
${CC:-gcc} -I"$top_srcdir/lib" -DWRONG=1 -c -o bug.o bug.c 2>bug.err
is "$((! $?)) $(grep -c WRONG bug.err | sed 's/[1-9][0-9]*/some/')" "0 some" "and of what is: BUILD_BUG_ON stops the build"

done_testing
