#!/bin/sh
# SPDX-License-Identifier: MIT
# python3: json, threads, multiprocessing, subprocess; its own small-object allocator both on and off.

. "${top_srcdir:-.}/t/preload/preload.sh"

require python3 python3
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3

cat >json_.py <<'PY'
import hashlib, json, re
data = [{"id": i, "name": "n%d" % i, "tags": ["t%d" % (i % 7)] * (i % 5), "x": i / 3} for i in range(40000)]
text = json.dumps(data)
back = json.loads(text)
assert back == data
print(len(text), hashlib.sha256(json.dumps(back, indent=1).encode()).hexdigest())
print(len(re.findall(r'"n\d*7"', text)), sum(len(bytearray(n)) for n in range(0, 300000, 997)))
PY

cat >threads_.py <<'PY'
import queue, threading
todo, done = queue.Queue(), queue.Queue()
def work():
    while True:
        item = todo.get()
        if item is None:
            return
        done.put((item[0], "".join(sorted(item[1])), [str(n) for n in range(item[0])]))
workers = [threading.Thread(target=work) for _ in range(8)]
for w in workers: w.start()
for i in range(2000): todo.put((i % 300, "payload %d" % i * 10))
for w in workers: todo.put(None)
for w in workers: w.join()
got = [done.get() for _ in range(2000)]
print(sum(g[0] for g in got), sum(len(g[1]) for g in got), sum(len(x) for g in got for x in g[2]))
for _ in range(300):
    t = threading.Thread(target=lambda: [bytes(k * 100) for k in range(100)])
    t.start(); t.join()
PY

cat >multi_.py <<'PY'
import multiprocessing as mp
def work(n):
    return sum(len(str(i) * (i % 50)) for i in range(n))
if __name__ == "__main__":
    for how in ("fork", "spawn", "forkserver"):
        with mp.get_context(how).Pool(4) as pool:
            print(how, pool.map(work, range(0, 20000, 400)))
    q = mp.Queue()
    p = mp.Process(target=q.put, args=(["x" * 100000] * 10,))
    p.start(); print(sum(map(len, q.get()))); p.join(); print(p.exitcode)
PY

cat >sub_.py <<'PY'
import os, subprocess, sys, threading
numbers = "\n".join(map(str, range(5000)))
print(subprocess.run(["sort", "-r"], input=numbers, text=True, capture_output=True).stdout[:200])
print(subprocess.check_output("echo a b c | tr ' ' '\\n' | wc -l", shell=True))
print(subprocess.run([sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"],
                     input=b"z" * 3000000, stdout=subprocess.PIPE).stdout)
def run(): out.append(subprocess.run(["true"]).returncode)
out = []
ts = [threading.Thread(target=run) for _ in range(20)]
for t in ts: t.start()
for t in ts: t.join()
print(out, subprocess.call("exit 7", shell=True))
pid = os.fork()
if pid == 0:
    os._exit(len([bytes(i) for i in range(1000)]) % 256)
print(os.waitpid(pid, 0)[1])
PY

for part in json threads multi sub; do
	alike "python3 $part" 'python3[^:]*' "$python" ${part}_.py
done
alike "python3 json without pymalloc" 'python3[^:]*' env PYTHONMALLOC=malloc "$python" json_.py
alike "python3 threads without pymalloc" 'python3[^:]*' env PYTHONMALLOC=malloc "$python" threads_.py

done_testing
