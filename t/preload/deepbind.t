#!/bin/sh
# SPDX-License-Identifier: MIT
# With libbuddymalloc-dlopen.so preloaded, too, plug-ins opened with RTLD_DEEPBIND use the heap that the program uses,
# and are found where they were found without.

. "${top_srcdir:-.}/t/preload/preload.sh"

[ -n "$BM_DLOPEN_LIB" ] || skip_all "this libc has no RTLD_DEEPBIND"

# Who opens it has a place for plug-ins, which the library has not; a library has its own, which the program has not.
mkdir -p plugins library/plugins
runpath=-Wl,--enable-new-dtags,-rpath,\$ORIGIN/plugins:\$ORIGIN
compile plugins/deepbind-plugin.so deepbind-plugin.c -shared -fPIC
compile deepbind deepbind.c -rdynamic "$runpath" -ldl
cp plugins/deepbind-plugin.so library/plugins/early.so
cp plugins/deepbind-plugin.so library/plugins/late.so
cp plugins/deepbind-plugin.so library/plugins/origin.so
compile library/libopens.so deepbind.c -DLIBRARY -shared -fPIC "$runpath" -ldl
compile linked deepbind.c -rdynamic "$runpath:\$ORIGIN/library" -Wl,--no-as-needed library/libopens.so -ldl
compile spy.so deepbind-spy.c -shared -fPIC -ldl

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
asks "a constructor that opens it" "the program's" ./linked early
asks "a library that opens what is beside it, and not beside the program" "the program's" ./linked library late.so
asks "\$ORIGIN is the library's place then" "the program's" ./linked library "\$ORIGIN/plugins/origin.so"
./linked ask late.so >beside.out
is "$?" 1 "which the program would not find" || diag <beside.out

# The modes are RTLD_LAZY 1, NOW 2, NOLOAD 4, DEEPBIND 8, GLOBAL 0x100 and NODELETE 0x1000.
cat >passed.wanted <<'END'
asked for, stack 0
a.so 0x1 from deepbind, stack 0
a.so 0x1 from deepbind, stack 0
a.so 0x102 from deepbind, stack 0
a.so 0x102 from deepbind, stack 0
a.so 0x1006 from deepbind, stack 0
a.so 0x1006 from deepbind, stack 0
a.so 0x7ffffff7 from deepbind, stack 0
a.so 0x7ffffff7 from deepbind, stack 0
END
LD_PRELOAD=$BM_LIB:./spy.so ./deepbind modes a.so 0x1 0x10a 0x100e 0x7fffffff >passed 2>&1
cmp -s passed.wanted passed
ok $? "the next dlopen is asked for once, and called as by the caller, but for this flag" || diff passed.wanted passed | diag

if need_program php php-cli; then
	code='echo count(get_loaded_extensions()), " ", strlen(json_encode(range(1, 100000))), "\n";'
	alike "php with its extensions" php php -r "$code"
else
	skip 2 "no php"
fi

done_testing
