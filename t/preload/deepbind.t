#!/bin/sh
# SPDX-License-Identifier: MIT
# With libbuddymalloc-dlopen.so preloaded, too, plug-ins opened with RTLD_DEEPBIND use the heap that the program uses,
# and are found where they were found without.

. "${top_srcdir:-.}/t/preload/preload.sh"

[ -n "$BM_DLOPEN_LIB" ] || skip_all "this libc has no RTLD_DEEPBIND"

# Who opens it has a place for plug-ins, which the library has not.
mkdir plugins
runpath=-Wl,--enable-new-dtags,-rpath,\$ORIGIN/plugins:\$ORIGIN
compile plugins/deepbind-plugin.so deepbind-plugin.c -shared -fPIC
compile deepbind deepbind.c -rdynamic "$runpath" -ldl
compile libearly.so deepbind.c -DEARLY -shared -fPIC "$runpath" -ldl
compile early deepbind.c -rdynamic "$runpath" -Wl,--no-as-needed ./libearly.so -ldl

malloc_lib=$BM_LIB
BM_LIB=$malloc_lib:$BM_DLOPEN_LIB # for `preloaded`

# asks WHAT WANTED PROGRAM ARGUMENT…: whose function the plug-in sees under both.
asks() {
	asks_what=$1 asks_wanted=$2
	shift 2
	is "$(LD_PRELOAD=$BM_LIB "$@" 2>&1)" "$asks_wanted" "$asks_what"
}

is "$(./deepbind ask deepbind-plugin.so)" "the plug-in's" "without the libraries a plug-in sees its own functions first"
is "$(LD_PRELOAD=$malloc_lib ./deepbind ask deepbind-plugin.so)" "the plug-in's" "and with libbuddymalloc.so alone"
asks "with both, the program's" "the program's" ./deepbind ask deepbind-plugin.so
asks "\$ORIGIN in a name is the program's place" "the program's" ./deepbind ask "\$ORIGIN/plugins/deepbind-plugin.so"
asks "what is not there is said as without" "$(./deepbind ask nowhere.so)" ./deepbind ask nowhere.so
alike "each frees what the other allocated" deepbind ./deepbind swap deepbind-plugin.so
asks "a constructor that opens it" "the program's" ./early ask deepbind-plugin.so

if need_program php php-cli; then
	code='echo count(get_loaded_extensions()), " ", strlen(json_encode(range(1, 100000))), "\n";'
	alike "php with its extensions" php php -r "$code"
else
	skip 2 "no php"
fi

done_testing
