#!/bin/sh
# SPDX-License-Identifier: MIT
# The library exports the contract's names alone, unversioned, and needs libc alone.

. "${top_srcdir:-.}/t/preload/preload.sh"

require nm binutils
require readelf binutils

grep -v -e '^#' -e '^$' "$src/exports.txt" | LC_ALL=C sort >wanted
nm -D --defined-only "$BM_LIB" | awk '{ print $3 }' | LC_ALL=C sort >exported
cmp -s wanted exported
ok $? "the names exported are exactly those of exports.txt" || diff wanted exported | diag
is "$(grep -c @ exported)" 0 "none of them is in a version node"
is "$(nm -D --defined-only "$BM_LIB" | grep -c -v ' T ')" 0 "all of them are strong functions" ||
	nm -D --defined-only "$BM_LIB" | grep -v ' T ' | diag

readelf -W -d "$BM_LIB" >dynamic
sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' dynamic >needed
is "$(grep -v '^ld-linux.*\.so\.[0-9]*$' needed)" libc.so.6 "libc is needed, and nothing else but the loader"
grep -q 'FLAGS_1.*NODELETE' dynamic
ok $? "dlclose cannot unload it" || grep FLAGS dynamic | diag
grep -q TEXTREL dynamic
ok $((! $?)) "no text relocations"
readelf -W -l "$BM_LIB" | grep -q 'GNU_STACK.* RW '
ok $? "no executable stack"

done_testing
