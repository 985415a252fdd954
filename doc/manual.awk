# SPDX-License-Identifier: MIT
# Makes the manual page: awk -v version=V -v docdir=D -f manual.awk tunables.def configuration.md libbuddymalloc.3.in
# The page has lines @KEYS@, @CTLS@ and @REPORTS@, for which lists are put in: the rows of the first file, and two tables
# of the second.

function fail(what) {
	print "manual.awk: not understood: " what >"/dev/stderr"
	failed = 1
	exit 1
}

# The arguments of a row into arg[1..n]; commas inside quotes do not count.
function split_row(row,    n, c, quoted) {
	if (row !~ /\)[ \t]*$/)
		fail(row)
	sub(/^[A-Z_]*\(/, "", row)
	sub(/\)[ \t]*$/, "", row)
	delete arg
	n = 1
	while (row != "") {
		c = substr(row, 1, 1)
		row = substr(row, 2)
		if (c == "\"")
			quoted = !quoted
		else if (c == "," && !quoted)
			n++
		else if (quoted || c !~ /[ \t]/)
			arg[n] = arg[n] c
	}
	return n
}

# 32UL<<20 as 32m, the way a user writes it.
function size(text,    part, n) {
	n = split(text, part, "<<")
	sub(/[UL]*$/, "", part[1])
	if (n == 1)
		return part[1]
	while (part[2] % 10) {
		part[1] *= 2
		part[2]--
	}
	return part[1] substr("kmgt", part[2] / 10, 1)
}

function sentence(text) {
	if (text ~ /^[a-z]+ /)
		text = toupper(substr(text, 1, 1)) substr(text, 2)
	return text ".\n"
}

function key(accepted, initial, help) {
	keys = keys ".It Ic " arg[1] " : " accepted "\n" sentence(help)
	if (initial != "")
		keys = keys "Default: " initial ".\n"
}

function choices(initial, list,    n, i, choice, accepted) {
	n = split(list, choice, "|")
	for (i = 1; i <= n; i++) {
		accepted = accepted (i > 1 ? " | " : "") "Cm " choice[i]
		if (tolower(initial) ~ "_" choice[i] "$")
			initial = choice[i] # THP_AUTO is auto
	}
	key(accepted, initial, arg[4])
}

/^TUNABLE_/ {
	n = split_row($0)
	kind = substr($0, 9, index($0, "(") - 9)
	if (kind == "BOOL")
		key("Cm true | Cm false", arg[2], arg[n])
	else if (kind == "ENUM")
		choices(arg[2], arg[3])
	else if (kind == "SIZE")
		key("Ar size", size(arg[2]), arg[n])
	else if (kind == "MSEC")
		key("Ar milliseconds", size(arg[2]), arg[n])
	else if (kind == "NUMBER")
		key("Ar number No from " size(arg[3]) " to " size(arg[4]), size(arg[2]), arg[n])
	else if (kind == "FAULT")
		key("Ar interval/probability/space/times", "", arg[n])
	else if (kind == "PATH")
		key("Ar path", "", arg[n])
	else if (kind == "AREAS")
		key("Ar size@node+...", "", arg[n])
	else if (kind == "NODES")
		key("Cm auto | Cm fake= Ns Ar number", "auto", arg[n])
	else
		fail($0)
}

# A table's row as an item: its first cell, and its last one.
function item(    n, cell, name, text) {
	n = split($0, cell, "|")
	name = cell[2]
	text = cell[n - 1]
	gsub(/^ +| +$/, "", name)
	gsub(/^ +| +$/, "", text)
	gsub(/\]\([^)]*\)|\[/, "", text)
	gsub(/[`\\]/, "", text)
	gsub(/`/, "", name)
	if (text == "")
		return ".It Li " name "\n"
	gsub(/\. /, ".\n", text)
	gsub(/; /, ";\n", text)
	return ".It Li " name "\n" sentence(text)
}

/^## / { table = /bm_ctl$/ ? "ctls" : /^## Reports$/ ? "reports" : "" }
table && /^\| *`?[a-z]/ && !/^\| (name|report) / {
	if (table == "ctls")
		ctls = ctls item()
	else
		reports = reports item()
}

FILENAME ~ /\.in$/ {
	if ($0 == "@KEYS@")
		printf "%s", keys
	else if ($0 == "@CTLS@")
		printf "%s", ctls
	else if ($0 == "@REPORTS@")
		printf "%s", reports
	else {
		gsub(/@VERSION@/, version)
		gsub(/@docdir@/, docdir)
		print
	}
}

END {
	if (!failed && (keys == "" || ctls == "" || reports == "")) {
		print "manual.awk: nothing found for one of the lists" >"/dev/stderr"
		exit 1
	}
}
