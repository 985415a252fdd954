#!/bin/sh
# SPDX-License-Identifier: MIT
# quickstart says so, and runs nothing, where the library could not be preloaded from.

. "${top_srcdir:-.}/t/preload/preload.sh"

for place in "a b" c:d; do
	mkdir "$place" && cp "$top_srcdir/quickstart" "$place"
	said=$("./$place/quickstart" run echo hello 2>&1 </dev/null)
	is "$? $said" "1 quickstart: nothing can be built in, or preloaded from, a path with a blank or a colon: $PWD/$place" \
		"in \"$place\""
done

done_testing
