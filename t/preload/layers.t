#!/bin/sh
# SPDX-License-Identifier: MIT
# The layers of lib/: a file includes headers of its own layer and of those below, its own header first. And each file is
# in the list of sources, with a licence in its first line and below it what it is for.

. "${top_srcdir:-.}/t/preload/preload.sh"

# awk gets the files of lib/, and says what is wrong by LAYER.
for file in "$top_srcdir"/lib/*/*.[ch]; do
	echo "$file"
done >files
xargs awk '
	BEGIN {
		nr = split("base os mm slab malloc interpose", layer, " ")
		for (i = 1; i <= nr; i++)
			height[layer[i]] = i
	}
	FNR == 1 {
		n = split(FILENAME, part, "/")
		own = part[n - 1]
		if (!(own in height))
			print FILENAME ": in no layer"
	}
	/^#[ \t]*include "/ {
		split($2, path, "[\"/]")
		if (path[2] in height && height[path[2]] > height[own])
			printf "%s/%s includes %s\n", own, part[n], $2
	}' <files >upwards
is "$(cat upwards)" "" "no file includes a header of a layer above its own"

# A header without a folder is found beside the file, or among the installed ones.
xargs grep -hoE '^#[ \t]*include "[^"/]+"' <files | sort -u | grep -v '"buddymalloc.h"' >bare
is "$(cat bare)" "" "and every header is named with its layer"

# So each header can be read alone.
while read -r file; do
	header=${file%.c}.h
	[ "$file" != "$header" ] && [ -f "$header" ] || continue
	header=${header#"$top_srcdir/lib/"}
	[ "$(grep -m 1 '^#[[:space:]]*include' "$file")" = "#include \"$header\"" ] || echo "${file#"$top_srcdir/"}"
done <files >later
is "$(cat later)" "" "a source includes its own header first"

grep -o 'lib/[a-z]*/[A-Za-z0-9_]*\.[ch]' "$top_srcdir/lib/sources.am" | LC_ALL=C sort >listed
sed "s|^$top_srcdir/||" files | LC_ALL=C sort >there
is "$(comm -3 listed there)" "" "lib/sources.am lists every file, once"

while read -r file; do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: MIT' && head -n 3 "$file" | grep -qE '^ \* .' || echo "$file"
done <files >silent
is "$(cat silent)" "" "each begins with its licence, and says what it is for"

done_testing
