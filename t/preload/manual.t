#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual page formats without a warning, and nothing is missing in it: the prototypes of buddymalloc.h, the keys of
# the configuration, the names of bm_ctl and the reports of bm_stats_print.

. "${top_srcdir:-.}/t/preload/preload.sh"

page=$top_builddir/doc/libbuddymalloc.3

# groff comes without its macros where Debian is installed without documentation.
if need_program groff groff-base && echo '.Sh NAME' | groff -mdoc -Tascii -z 2>/dev/null; then
	# Wide, so that no line is broken; without overstriking.
	groff -ww -mdoc -Tascii -P-c -P-b -P-o -P-u -rLL=500n -rCR=1 "$page" >text 2>warnings
	is "$? $(cat warnings)" "0 " "groff formats it and warns of nothing"
else
	skip 1 "no groff with its macros for manual pages"
fi
if need_program mandoc mandoc; then
	is "$(mandoc -T lint -W warning "$page" 2>&1 | grep -v 'outdated mandoc.db')" "" "and so does mandoc"
	[ -s text ] || mandoc -Tascii -O width=500 "$page" | sed "s/.$(printf '\b')//g" >text
else
	skip 1 "no mandoc, and the package mandoc could not be installed"
fi
[ -s text ] || bail_out "neither groff nor mandoc formats the page"
! grep -nE '@[A-Za-z]+@' "$page" >left
ok $? "every list has been put in" || diag <left

# Prototypes without blanks, a line each.
awk '/^BM_API/ { on = 1 } on { gsub(/^BM_API|[ \t]/, ""); printf "%s", $0 } on && /;$/ { on = 0; print "" }' \
	"$top_srcdir/include/buddymalloc.h" | sort >declared
sed -n '/^SYNOPSIS/,/^DESCRIPTION/p' text | tr -d ' \t\n' | grep -o '[a-z_*]*bm_[a-z_]*([^()]*);' | sort >described
[ "$(wc -l <declared)" -ge "$(grep -c '^bm_' "$src/exports.txt")" ]
ok $? "the header declares what the library exports: $(wc -l <declared) functions"
is "$(diff declared described)" "" "the synopsis has each of them as the header has it, and no other"

# Names of the source that have to be a term of one of the page's lists.
sed -n 's/^TUNABLE_[A-Z]*(\([a-z_]*\),.*/\1/p' "$top_srcdir/lib/base/tunables.def" >keys
sed -n '/^static const struct ctl ctls/,/^};/s/.*[("= ]"\([a-z_.-]*\)".*/\1/p' "$top_srcdir/lib/malloc/ctl.c" >ctls
sed -n 's/^\t{ "\([a-z_]*\)", print_.*/\1/p' "$top_srcdir/lib/malloc/stats.c" >reports
for list in keys ctls reports; do
	[ "$(wc -l <$list)" -ge 5 ]
	ok $? "$(wc -l <$list) $list in the source"
	: >missing
	while read -r name; do
		grep -q "^\.It .*\<$name\>" "$page" || echo "$name" >>missing
	done <$list
	is "$(cat missing)" "" "all of them are in the page"
done

# What the page says of a key is what the library takes.
sed -n '/^TUNABLE_ENUM/s/^TUNABLE_ENUM(\([a-z_]*\), [A-Z_]*, "\([^"]*\)".*/\1: \2/p' "$top_srcdir/lib/base/tunables.def" |
	sed 's/|/ | /g' >choices
: >missing
while read -r line; do
	grep -q "^ *$line\$" text || echo "$line" >>missing
done <choices
is "$(cat missing)" "" "$(wc -l <choices) keys with choices are there with all of these"
grep -q '^ *dirty_max: size$' text && grep -q '^ *thp_threshold: size$' text && grep -A 1 '^ *thp_threshold: size$' text |
	grep -q 'Default: 64m\.$'
ok $? "and sizes with the default that they have"

done_testing
