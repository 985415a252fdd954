#!/bin/sh
# SPDX-License-Identifier: MIT
# The library exports the contract's names alone, unversioned, and needs libc alone; that for plug-ins dlopen.

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

# sound LIB: what holds of whatever is preloaded.
sound() {
	sound_name=${1##*/}
	readelf -W -d "$1" >dynamic
	sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' dynamic >needed
	is "$(grep -v '^ld-linux.*\.so\.[0-9]*$' needed)" libc.so.6 \
		"$sound_name: libc is needed, and nothing else but the loader"
	grep -q 'FLAGS_1.*NODELETE' dynamic
	ok $? "$sound_name: dlclose cannot unload it" || grep FLAGS dynamic | diag
	grep -q 'FLAGS_1.* NOW' dynamic
	ok $? "$sound_name: what it calls is found as it is loaded" || grep FLAGS dynamic | diag
	grep -q TEXTREL dynamic
	ok $((! $?)) "$sound_name: no text relocations"
	readelf -W -l "$1" >segments
	grep -q 'GNU_STACK.* RW ' segments
	ok $? "$sound_name: no executable stack"
	grep -q GNU_RELRO segments
	ok $? "$sound_name: what is relocated is read-only then"
}

sound "$BM_LIB"
if [ -n "$BM_DLOPEN_LIB" ]; then
	is "$(nm -D --defined-only "$BM_DLOPEN_LIB" | awk '{ print $2, $3 }')" "T dlopen" \
		"${BM_DLOPEN_LIB##*/}: exports dlopen, unversioned, and nothing else"
	sound "$BM_DLOPEN_LIB"
else
	skip 7 "this libc has no RTLD_DEEPBIND"
fi

done_testing
