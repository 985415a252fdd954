#!/bin/sh
# SPDX-License-Identifier: MIT
# Libraries loaded and unloaded under the library, and the library itself loaded and unloaded.

. "${top_srcdir:-.}/t/preload/preload.sh"

compile plugin.so plugin.c -shared -fPIC
compile dlclose dlclose.c -ldl

alike "a plugin loaded and unloaded" dlclose ./dlclose ./plugin.so

said=$(./dlclose ./plugin.so "$BM_LIB" 2>&1)
status=$?
if [ $status -eq 77 ]; then
	case $said in
	*"static TLS"*) skip 1 "this build has its TLS in the static block, for LD_PRELOAD: $said" ;;
	*) is "$said" "done" "the library can be loaded" ;;
	esac
else
	is "$status $said" "0 done" "the library loaded by dlopen, unloaded, and the program goes on"
fi

done_testing
