#!/bin/sh
# SPDX-License-Identifier: MIT
# ruby: strings, hashes, symbols, bignums, threads, fork, garbage collection and compaction.

. "${top_srcdir:-.}/t/preload/preload.sh"

require ruby ruby

cat >main.rb <<'RB'
require 'digest'
require 'json'
data = (1..20000).map { |i| { 'id' => i, 'name' => "n#{i}" * (i % 9), 'tags' => ['t'] * (i % 6) } }
text = JSON.generate(data)
puts Digest::SHA256.hexdigest(text), JSON.parse(text) == data
puts text.gsub(/n(\d)\d*/) { |m| m.upcase + $1 }.scan(/N\d+/).uniq.size
puts (1..1500).inject(:*).to_s.size
def work(n)
  h = {}
  5000.times { |i| h["k#{i * n}"] = 'v' * (i % 300) }
  h.values.sum(&:size)
end
sums = (1..8).map { |n| Thread.new { work(n) } }
puts sums.map(&:value).inspect
GC.start
GC.compact if GC.respond_to?(:compact)
pids = (1..10).map { |n| fork { a = (1..2000).map { |i| 'x' * i }; exit!(a.size % 256 == 208 ? n : 99) } }
puts pids.map { |p| Process.wait2(p)[1].exitstatus }.inspect
puts `echo #{'word ' * 1000} | wc -w`
RB

alike "ruby" 'ruby[^:]*' ruby main.rb

done_testing
