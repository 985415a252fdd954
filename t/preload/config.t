#!/bin/sh
# SPDX-License-Identifier: MIT
# Bad configuration: one warning that names key and value, the default, and the program none the wiser.

. "${top_srcdir:-.}/t/preload/preload.sh"

# configured TEXT COMMAND…: stdout in said, stderr in warned
configured() {
	configured_text=$1
	shift
	BUDDYMALLOC_CONF=$configured_text LD_PRELOAD=$BM_LIB env "$@" >said 2>warned
}

# warns_once WHAT TEXT WORD…: that configuration is warned of in one line with each of the words.
warns_once() {
	warns_what=$1
	BUDDYMALLOC_CONF=$2 LD_PRELOAD=$BM_LIB sh -c 'echo hello; exit 7' >said 2>warned
	is "$? $(cat said)" "7 hello" "$warns_what: the program is not disturbed"
	shift 2
	is "$(grep -c '' warned) $(grep -c '^buddymalloc: ' warned)" "1 1" "$warns_what: one warning"
	for word; do
		grep -qF -e "$word" warned
		ok $? "$warns_what: the warning names $word" || cut -c 1-300 warned | diag
	done
}

warns_once "unknown key" no_such_key:17 no_such_key 17
warns_once "key without value" show_stats show_stats
warns_once "bad value of a switch" show_stats:perhaps show_stats perhaps
warns_once "bad choice" thp:sometimes thp sometimes
warns_once "bad size" dirty_max:12q dirty_max 12q
warns_once "negative size" dirty_max:-5 dirty_max -5
warns_once "huge number" dirty_max:99999999999999999999999 dirty_max 99999999999999999999999
warns_once "size that overflows by its unit" dirty_max:17179869184g dirty_max 17179869184g
warns_once "time out of range" dirty_decay:86400001 dirty_decay 86400001
warns_once "empty value" thp: thp
warns_once "empty configuration" '' BUDDYMALLOC_CONF
warns_once "good keys around a bad one" dirty_max:1m,no_such_key:17,thp:never no_such_key 17
warns_once "path that is too long" "stats_file:/$(printf '%0300d' 0)" stats_file

BUDDYMALLOC_CONF=bad_one:1,thp:bad_two,dirty_max:bad_three LD_PRELOAD=$BM_LIB sh -c : 2>warned
is "$(grep -c '^buddymalloc: ' warned)" 3 "three mistakes are three warnings"
grep bad_two warned | grep -q 'auto|always|never'
ok $? "the warning says what is accepted" || diag <warned

# One string of the environment may have 128 KiB.
long=$(printf 'thp:never,%.0s' $(seq 1 12000))
warns_once "120 kB of configuration" "$long" BUDDYMALLOC_CONF
warns_once "a key of 120 kB" "$(printf '%0120000d' 0)"

configured no_such_key:17,abort_conf:true echo hello
is "$? $(cat said)" "1 " "abort_conf:true: exit status 1"
configured abort_conf:true echo hello
is "$? $(cat said)" "0 hello" "abort_conf:true with nothing wrong: the program runs"
configured thp:never,dirty_max:1m,dirty_decay:10,foreign_free:warn,verbose:false echo hello
is "$? $(cat said) $(cat warned)" "0 hello " "good keys are accepted in silence"

# A file of 1 MiB can only be the system's own; there is one in a root of ours.
if can_chroot; then
	program=$(command -v env)
	make_root "$TEST_DIR/root" "$program" "$(PATH=/bin:/usr/bin which cat)"
	mkdir -p root/etc
	yes thp:never | head -c 1048576 >root/etc/buddymalloc.conf
	in_root "$TEST_DIR/root" "$(PATH=/bin:/usr/bin which cat)" /etc/buddymalloc.conf >said 2>warned
	is "$? $(cksum <said)" "0 $(cksum <root/etc/buddymalloc.conf)" "1 MiB in /etc/buddymalloc.conf: the program runs"
	is "$(grep -c '' warned) $(grep -c '^buddymalloc: .*/etc/buddymalloc.conf' warned)" "1 1" \
		"1 MiB in /etc/buddymalloc.conf: one warning, which names it" || cut -c 1-300 warned | diag
	printf '# comment\n\n dirty_max : 1m \nno_such_key:17\nthp:never\n' >root/etc/buddymalloc.conf
	in_root "$TEST_DIR/root" "$(PATH=/bin:/usr/bin which cat)" /etc/buddymalloc.conf >said 2>warned
	is "$(grep -c '' warned) $(grep -c '^buddymalloc: .*no_such_key.*17' warned)" "1 1" \
		"/etc/buddymalloc.conf: comments, blanks, and one warning" || diag <warned
else
	skip 3 "neither root nor allowed to make a user namespace"
fi

done_testing
