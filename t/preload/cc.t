#!/bin/sh
# SPDX-License-Identifier: MIT
# gcc and g++ -O2 on real sources give the same objects; what they built runs the same.

. "${top_srcdir:-.}/t/preload/preload.sh"

require gcc gcc
require g++ g++

# Each source of the library, one after the other; the object's name is part of nothing in it.
cat >build.sh <<'SH'
for source in "$top_srcdir"/lib/*/*.c; do
	gcc -std=gnu11 -D_GNU_SOURCE= -DPACKAGE_VERSION='"0"' -O2 -fPIC -c \
		-I"$top_srcdir/lib" -I"$top_srcdir/include" -o object.o "$source" || exit
	cksum <object.o
done
SH

export top_srcdir
# Driver, compiler and assembler.
alike "gcc -O2 on the library's sources" '[^:]*gcc cc1 [^:]*as' sh build.sh

awk 'BEGIN {
	print "#include <algorithm>\n#include <functional>\n#include <iostream>\n#include <map>\n#include <memory>"
	print "#include <mutex>\n#include <regex>\n#include <string>\n#include <thread>\n#include <vector>"
	for (i = 0; i < 60; i++) {
		printf "struct s%d { std::map<std::string, std::vector<int>> m;\n", i
		printf "\tlong run(int n) { for (int i = 0; i < n; i++) m[std::to_string(i %% %d)].push_back(i);\n", i + 3
		printf "\tlong r = 0; for (auto &e : m) r += std::count_if(e.second.begin(), e.second.end(),"
		printf " [](int v) { return v %% %d; }) * (long)e.first.size(); return r; } };\n", i + 2
	}
	print "int main()\n{\n\tstd::mutex lock;\n\tlong total = 0;\n\tstd::vector<std::thread> threads;"
	for (i = 0; i < 60; i++)
		printf "\tthreads.emplace_back([&] { auto s = std::make_unique<s%d>(); long r = s->run(3000); " \
			"std::lock_guard<std::mutex> g(lock); total += r; });\n", i
	print "\tfor (auto &t : threads) t.join();\n\tstd::regex re(\"([a-z]+)([0-9]+)\");\n\tstd::string text;"
	print "\tfor (int i = 0; i < 3000; i++) text += \"word\" + std::to_string(i) + \" \";"
	print "\ttext = std::regex_replace(text, re, \"$2$1\");"
	print "\ttry { throw std::runtime_error(text); } catch (std::exception &e) { total += std::string(e.what()).size(); }"
	print "\tstd::cout << total << \" \" << std::hash<std::string>()(text) << std::endl;\n}"
}' >generated.cc

alike "g++ -O2" cc1plus sh -c 'g++ -O2 -pthread -o generated generated.cc && cksum <generated'
alike "the C++ program" generated ./generated

done_testing
