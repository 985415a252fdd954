#!/bin/sh
# SPDX-License-Identifier: MIT
# java: the compiler, and a program with threads that uses memory outside of the Java heap.

. "${top_srcdir:-.}/t/preload/preload.sh"

require javac default-jdk-headless
require java default-jre-headless

cat >Main.java <<'JAVA'
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Main {
	static long work(int n) {
		Map<String, List<Integer>> map = new TreeMap<>();
		for (int i = 0; i < 20000; i++)
			map.computeIfAbsent("k" + i % (97 + n), k -> new ArrayList<>()).add(i);
		ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
		for (int i = 0; i < direct.capacity(); i++)
			direct.put((byte) (i * n));
		direct.flip();
		CRC32 crc = new CRC32();
		crc.update(direct);
		Deflater deflater = new Deflater(6);
		deflater.setInput(map.toString().getBytes());
		deflater.finish();
		byte[] out = new byte[1 << 20];
		int length = deflater.deflate(out);
		deflater.end();
		return crc.getValue() + length + map.size();
	}

	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(6);
		List<Future<Long>> futures = new ArrayList<>();
		for (int i = 1; i <= 60; i++) {
			int n = i;
			futures.add(pool.submit(() -> work(n)));
		}
		long sum = 0;
		for (Future<Long> f : futures)
			sum += f.get();
		pool.shutdown();
		for (int i = 0; i < 200; i++) {
			Thread t = new Thread(() -> ByteBuffer.allocateDirect(10000));
			t.start();
			t.join();
		}
		System.gc();
		System.out.println(sum + " " + IntStream.range(0, 100000).parallel().filter(i -> i % 7 == 0).count());
	}
}
JAVA

alike "java -version" java java -Xmx64m -version
alike "javac" javac sh -c 'javac -J-Xmx128m Main.java && cksum <Main.class'
alike "a threaded java program" java java -Xmx128m Main

done_testing
