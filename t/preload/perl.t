#!/bin/sh
# SPDX-License-Identifier: MIT
# perl: hashes, sorting, regular expressions, growing strings, fork, interpreter threads.

. "${top_srcdir:-.}/t/preload/preload.sh"

require perl perl

cat >data.pl <<'PL'
use strict; use warnings;
my %h;
$h{$_ % 5003}{"k" . $_ % 17} .= "v$_," for 1 .. 100000;
my $sum = 0;
for my $k (sort { $a <=> $b } keys %h) {
	$sum += length join "|", map { "$_=$h{$k}{$_}" } sort keys %{ $h{$k} };
}
my $s = "";
$s .= chr(65 + $_ % 26) x ($_ % 90) for 1 .. 20000;
my $count = () = $s =~ /A+B+(?=C)/g;
(my $t = $s) =~ s/(\w)\1{3,}/<$1>/g;
my @sorted = sort map { sprintf "%08x", $_ * 2654435761 % 4294967296 } 1 .. 50000;
print "$sum $count ", length $t, " $sorted[0] $sorted[-1] ", unpack("%32C*", $t), "\n";
$| = 1;
for my $n (1 .. 20) {
	my $pid = fork // die "fork: $!";
	if (!$pid) { my @a = map { "x" x $_ } 1 .. 2000; exit @a % 256 }
	waitpid $pid, 0;
	print $? >> 8, " ";
}
print "\n", `perl -e 'print "x" x 1000000' | wc -c`;
PL

cat >threads.pl <<'PL'
use strict; use warnings; use threads; use threads::shared;
my $total :shared = 0;
my @t = map { my $n = $_; threads->create(sub {
	my %h = map { $_ => "y" x ($_ % 300) } 1 .. 5000;
	my $len = 0; $len += length for values %h;
	{ lock $total; $total += $len * $n }
}) } 1 .. 8;
$_->join for @t;
print "$total\n";
PL

alike "perl data" perl perl data.pl
if perl -Mthreads -e 1 2>/dev/null; then
	alike "perl threads" perl perl threads.pl
else
	skip 2 "this perl has no interpreter threads"
fi

done_testing
