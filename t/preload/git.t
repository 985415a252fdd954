#!/bin/sh
# SPDX-License-Identifier: MIT
# git on a repository made here: log, blame, grep, and a gc with several threads that loses nothing.

. "${top_srcdir:-.}/t/preload/preload.sh"

require git git

export HOME="$TEST_DIR" GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
git config --global user.name tester
git config --global user.email tester@example.com
git config --global pack.threads 4
git config --global gc.auto 0

# 400 commits, each of which changes a line of some of 40 files; loose trees come from the commit at the end.
awk 'function file(n, c,   t, l) {
	for (l = 0; l < 60; l++) t = t "file " n " line " l " version " (l <= c % 60 ? int(c / 60) + 1 : int(c / 60)) "\n"
	printf "M 100644 inline dir%d/file%d.txt\ndata %d\n%s\n", n % 7, n, length(t), t
}
BEGIN {
	for (c = 1; c <= 400; c++) {
		printf "commit refs/heads/main\ncommitter t <t@example.com> %d +0000\ndata 9\nchange %02d\n", 1e9 + c * 60, c % 100
		for (n = c % 4; n < 40; n += 4) file(n, c)
	}
}' >import
git init -q -b main repo && git -C repo fast-import --quiet <import && git -C repo reset -q --hard main &&
	for i in 1 2 3 4 5; do
		seq $((i * 1000)) >repo/loose$i && git -C repo add . && git -C repo commit -q -m "loose $i" || break
	done
cp -a repo repo.plain && cp -a repo repo.ours || bail_out "cannot make a repository"

alike "git log -p" git git -C repo log -p --stat --date=raw
alike "git blame" git git -C repo blame dir3/file3.txt
alike "git grep with threads" git git -C repo -c grep.threads=4 grep -n 'version [357]'

git -C repo.plain gc -q --aggressive --prune=now
succeeds "git gc --aggressive" env LD_PRELOAD="$BM_LIB" BUDDYMALLOC_CONF="show_stats:true,stats_file:$STATS_FILE" \
	git -C repo.ours gc -q --aggressive --prune=now
served git
ok $? "git gc: malloc was ours"
succeeds "git fsck finds nothing" git -C repo.ours fsck --full --strict
for repo in plain ours; do
	git -C repo.$repo rev-list --objects --all | sort >objects.$repo
	git -C repo.$repo count-objects -v | grep -E '^(count|in-pack|packs|garbage):' >>objects.$repo
done
cmp objects.plain objects.ours
ok $? "the same objects, all of them packed"

done_testing
