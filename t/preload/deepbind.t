#!/bin/sh
# SPDX-License-Identifier: MIT
# Plug-ins opened with RTLD_DEEPBIND use the heap that the program uses, and are found where they were found without.

. "${top_srcdir:-.}/t/preload/preload.sh"

# Who opens it has a place for plug-ins, which the library has not.
mkdir plugins
runpath=-Wl,--enable-new-dtags,-rpath,\$ORIGIN/plugins:\$ORIGIN
compile plugins/deepbind-plugin.so deepbind-plugin.c -shared -fPIC
compile deepbind deepbind.c -rdynamic "$runpath" -ldl
compile own deepbind.c -DOWN_MALLOC -rdynamic "$runpath" -ldl
compile libearly.so deepbind.c -DEARLY -shared -fPIC "$runpath" -ldl
compile early deepbind.c -rdynamic "$runpath" -Wl,--no-as-needed ./libearly.so -ldl
compile early-own deepbind.c -DOWN_MALLOC -rdynamic "$runpath" -Wl,--no-as-needed ./libearly.so -ldl
compile linked deepbind.c -rdynamic "$runpath" -Wl,--no-as-needed "$BM_LIB" -Wl,-rpath,"${BM_LIB%/*}" -ldl

# asks WHAT WANTED PROGRAM ARGUMENT…: whose function the plug-in sees under the library.
asks() {
	asks_what=$1 asks_wanted=$2
	shift 2
	is "$(LD_PRELOAD=$BM_LIB "$@" 2>&1)" "$asks_wanted" "$asks_what"
}

is "$(./deepbind ask deepbind-plugin.so)" "the plug-in's" "without the library a plug-in sees its own functions first"
asks "with it, the program's" "the program's" ./deepbind ask deepbind-plugin.so
asks "\$ORIGIN in a name is the program's place" "the program's" ./deepbind ask "\$ORIGIN/plugins/deepbind-plugin.so"
alike "each frees what the other allocated" deepbind ./deepbind swap deepbind-plugin.so
BUDDYMALLOC_CONF=deepbind:true asks "deepbind:true" "the plug-in's" ./deepbind ask deepbind-plugin.so
BUDDYMALLOC_CONF=deepbind:false asks "deepbind:false" "the program's" ./deepbind ask deepbind-plugin.so

asks "a program with its own malloc keeps the flag" "the plug-in's" ./own ask deepbind-plugin.so
LD_DEBUG=files LD_PRELOAD=$BM_LIB ./early ask deepbind-plugin.so 2>&1 |
	sed -n 's|.*calling init: .*/\(lib[be][^/]*\)$|\1|p' | tr '\n' ' ' >order
is "$(cat order)" "libearly.so libbuddymalloc.so " "libearly.so begins before the library"
asks "a constructor that comes first" "the program's" ./early ask deepbind-plugin.so
asks "the same in a program with its own malloc" "the plug-in's" ./early-own ask deepbind-plugin.so

is "$(./linked ask deepbind-plugin.so 2>&1)" "the program's" "a program linked with the library"
is "$(./linked swap deepbind-plugin.so 2>&1)" "done" "and its blocks"
export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=65536 # for the library is made for LD_PRELOAD
said=$(./deepbind ask "$TEST_DIR/plugins/deepbind-plugin.so" "$BM_LIB" 2>&1)
if [ $? -eq 77 ]; then
	skip 1 "this libc loads nothing that has static TLS: $said"
else
	is "$said" "the plug-in's" "dlopen of a library that was itself opened by it, and so serves nobody, does no harm"
fi
unset GLIBC_TUNABLES

if need_program php php-cli; then
	code='echo count(get_loaded_extensions()), " ", strlen(json_encode(range(1, 100000))), "\n";'
	alike "php with its extensions" php php -r "$code"
else
	skip 2 "no php"
fi

done_testing
