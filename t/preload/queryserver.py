# SPDX-License-Identifier: MIT
# queryserver.py PORT [unread]: several clients of examples/queryserver.c at once, one of which asks for too much. What
# came of it is on stdout, a line each. unread: and in the end one that does not read its answers.
import os
import select
import socket
import sys
import threading

port = int(sys.argv[1])


class Client:
    def __init__(self):
        self.stream = socket.create_connection(("127.0.0.1", port)).makefile("rw")

    # The first line of the answer; nothing if the server is gone.
    def ask(self, query):
        try:
            self.stream.write(query + "\n")
            self.stream.flush()
            return self.stream.readline().rstrip("\n")
        except OSError:
            return ""

    def stats(self):
        lines = [self.ask("STATS")]
        while lines[-1] not in ("end", ""):
            lines.append(self.stream.readline().rstrip("\n"))
        return lines


client = Client()
seven = client.ask("GREP seven")
good = {
    "SUM 200000": "ok 20000100000",
    "SORT 3000": "ok word000000000000 word000000002999",
    "GREP seven": seven,
}
wrong = []
rounds = [0] * 5
over = threading.Event()


def work(n):
    client = Client()
    while rounds[n] < 3 or not over.is_set():
        for query, wanted in good.items():
            got = client.ask(query)
            if got != wanted:
                wrong.append(f"{query}: {got}")
        rounds[n] += 1


workers = [threading.Thread(target=work, args=(n,)) for n in range(len(rounds))]
for worker in workers:
    worker.start()
print("too many small ones:", client.ask("SUM 1000000000"))
print("then:", client.stats()[0])
print("one too large:", client.ask("SORT 10000000000"))
over.set()
for worker in workers:
    worker.join()
print("wrong answers of the others:", len(wrong), *wrong[:3])
print("and afterwards:", *(client.ask(query) == wanted for query, wanted in good.items()))
print(*client.stats(), sep="\n")
print("a line too long:", client.ask("GREP " + "SUM 1 " * 100), "and", client.ask("SUM 1") or "the end")

if len(sys.argv) < 3:
    sys.exit()
# One, in a process of its own, asks and never reads, for as long as the server is there: that waits for nobody.
greedy = socket.create_connection(("127.0.0.1", port))
greedy.setblocking(False)
out = select.poll()
out.register(greedy, select.POLLOUT)
while out.poll(1000) == [(greedy.fileno(), select.POLLOUT)]:
    try:
        greedy.send(b"STATS\n" * 1000)
    except OSError:
        break
sys.stdout.flush()  # or the child's end says it all once more
if not os.fork():
    out.modify(greedy, select.POLLRDHUP)
    out.poll(120000)
    os._exit(0)
