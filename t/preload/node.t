#!/bin/sh
# SPDX-License-Identifier: MIT
# node: JSON, buffers outside of the JavaScript heap, worker threads, the thread pool, child processes.

. "${top_srcdir:-.}/t/preload/preload.sh"

require node nodejs

cat >main.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), { execFileSync } = require('child_process');
const sha = (x) => crypto.createHash('sha256').update(x).digest('hex');
function work(n) {
	const list = [];
	for (let i = 0; i < 3000; i++)
		list.push({ i, text: 'x'.repeat(i % 200), buffer: Buffer.alloc(i * n % 5000, n) });
	return sha(JSON.stringify(list));
}
if (!isMainThread) {
	parentPort.postMessage(work(workerData));
} else {
	(async () => {
		const hashes = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => new Promise((resolve, reject) => {
			const w = new Worker(__filename, { workerData: n });
			w.on('message', resolve); w.on('error', reject);
		})));
		console.log(hashes.join('\n'));
		const text = Buffer.from(JSON.stringify([...Array(100000).keys()]));
		const zipped = await Promise.all([1, 5, 9].map((level) => new Promise((resolve) =>
			zlib.gzip(text, { level }, (e, b) => zlib.gunzip(b, (e2, back) => resolve(sha(back)))))));
		console.log(new Set(zipped).size, zipped[0]);
		const key = await new Promise((r) => crypto.scrypt('p', 's', 32, (e, k) => r(k.toString('hex'))));
		console.log(key, execFileSync(process.execPath, ['-p', '"y".repeat(100000).length']).toString());
		for (let i = 0; i < 200; i++) Buffer.alloc(1 << 20, i);
	})();
}
JS

alike "node" 'node[^:]*' node main.js

done_testing
