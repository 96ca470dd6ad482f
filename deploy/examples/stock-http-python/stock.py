#!/usr/bin/env python3
"""Reserves stock for orders: a complete step over HTTP, with Python's standard library alone.

POST /reserve and POST /release take a StepRequest and answer with a StepReply, GET /stock tells what is left,
GET /health whether the service works. SIGTERM finishes the calls under way and stops.

What makes it safe to call any number of times, by any number of nodes, before and after a crash:

- What a call does and its answer are written in one transaction, under the call's idempotency key. The same key again
  gets the same answer and does nothing; with another body it is answered 409.
- A release leaves a tombstone: a reservation that arrives after its release, however late, is refused. This is what
  "in_doubt: undo" in the plan relies on.
- A fencing token smaller than one seen for the order comes from a node that no longer owns the order: it does nothing.
"""

import hashlib
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 1 << 20
ANY = "any"  # in place of a digest: the answer holds for every body under the key

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock  (product TEXT PRIMARY KEY, left INTEGER NOT NULL CHECK (left >= 0));
CREATE TABLE IF NOT EXISTS held   (order_id TEXT, product TEXT, quantity INTEGER NOT NULL, PRIMARY KEY (order_id, product));
CREATE TABLE IF NOT EXISTS calls  (key TEXT PRIMARY KEY, body TEXT NOT NULL, status INTEGER NOT NULL, reply TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (order_id TEXT PRIMARY KEY, token INTEGER NOT NULL);
"""


def log(message, **fields):
    print(json.dumps({"time": time.time(), "msg": message, **fields}), file=sys.stderr, flush=True)


class Stock:
    """The stock and the memory of the calls, in one SQLite file."""

    def __init__(self, path, initial):
        self.initial = initial
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")  # an answer that was given survives a power cut
        self.db.executescript(SCHEMA)

    def perform(self, request, body, token, act):
        """Acts on the request once, whatever happens; returns (HTTP status, StepReply). body is its digest."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                status, reply = self._remembered(request, body) or self._first(request, body, token, act)
                self.db.execute("COMMIT")
                return status, reply
            except BaseException:
                self.db.execute("ROLLBACK")
                raise

    def _remembered(self, request, body):
        row = self.db.execute("SELECT body, status, reply FROM calls WHERE key = ?", (request["idempotency_key"],)).fetchone()
        if row and row[0] not in (ANY, body):
            return 409, {"error": "the idempotency key was used with another body"}
        return (row[1], json.loads(row[2])) if row else None

    def _first(self, request, body, token, act):
        order = request["order_id"]
        row = self.db.execute("SELECT token FROM tokens WHERE order_id = ?", (order,)).fetchone()
        if row and token < row[0]:
            # Neither a rejection nor stored: the node that owns the order now gets the answer.
            return 503, {"retry": {"reason": f"fencing token {token} is older than {row[0]}"}}
        self.db.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?)", (order, token))
        status, reply = act(request)
        self._remember(request["idempotency_key"], body, status, reply)
        return status, reply

    def _remember(self, key, body, status, reply):
        self.db.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?)", (key, body, status, json.dumps(reply)))

    def reserve(self, request):
        wanted = {}
        for item in request["order"]["items"]:
            wanted[item["product_id"]] = wanted.get(item["product_id"], 0) + item["quantity"]
        for product, quantity in wanted.items():
            if self.left(product) < quantity:
                return 409, {"rejected": {"code": "out_of_stock", "reason": f"{quantity} of {product} wanted, {self.left(product)} left"}}
        for product, quantity in wanted.items():
            self.db.execute("INSERT OR REPLACE INTO stock VALUES (?, ?)", (product, self.left(product) - quantity))
            self.db.execute("INSERT INTO held VALUES (?, ?, ?)", (request["order_id"], product, quantity))
        return 200, {"done": {"data": {"reservation": "r-" + request["order_id"]}}}

    def release(self, request):
        held = self.db.execute("SELECT product, quantity FROM held WHERE order_id = ?", (request["order_id"],)).fetchall()
        for product, quantity in held:
            self.db.execute("UPDATE stock SET left = left + ? WHERE product = ?", (quantity, product))
        self.db.execute("DELETE FROM held WHERE order_id = ?", (request["order_id"],))
        # The tombstone, whether anything was reserved or not.
        self._remember(f"{request['order_id']}/{request['step']}/do", ANY, 409, {"rejected": {"code": "undone", "reason": "it was released"}})
        return 200, {"done": {}}

    def left(self, product):
        row = self.db.execute("SELECT left FROM stock WHERE product = ?", (product,)).fetchone()
        if row:
            return row[0]
        return 0 if product == "sold-out" else self.initial

    def all(self):
        with self.lock:
            return dict(self.db.execute("SELECT product, left FROM stock"))

    def close(self):
        with self.lock:
            self.db.close()


def check(request, direction):
    """What a request must have, so that a caller who is no node learns what is wrong."""
    for field in ("order_id", "step", "idempotency_key", "order"):
        if not request.get(field):
            raise ValueError(f"{field} is missing: want a StepRequest in JSON")
    if request["idempotency_key"] != f"{request['order_id']}/{request['step']}/{direction}":
        raise ValueError(f"idempotency_key is not <order_id>/<step>/{direction}")
    return request


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds a client may take to send its request

    def do_POST(self):
        stock = self.server.stock
        acts = {"/reserve": ("do", stock.reserve), "/release": ("undo", stock.release)}
        if self.path not in acts:
            return self.answer(404, {"error": "not found: POST /reserve or /release"})
        direction, act = acts[self.path]
        try:
            size = int(self.headers.get("Content-Length", 0))
            if not 0 < size <= MAX_BODY:
                raise ValueError(f"Content-Length is {size}: want 1 to {MAX_BODY}")
            body = self.rfile.read(size)
            request = check(json.loads(body), direction)
            token = int(self.headers.get("Orderly-Fencing-Token", ""))
        except (ValueError, AttributeError) as wrong:
            # No StepReply: a caller that sends this is set up wrongly, and the order is not to blame.
            return self.answer(400, {"error": "bad request: " + str(wrong)})
        try:
            status, reply = stock.perform(request, hashlib.sha256(body).hexdigest(), token, act)
        except Exception as trouble:  # the node calls again, under the same key
            log("call failed", key=request["idempotency_key"], error=repr(trouble))
            return self.answer(500, {"retry": {"reason": "internal error"}})
        log("call", key=request["idempotency_key"], attempt=self.headers.get("Orderly-Attempt"), status=status,
            traceparent=self.headers.get("traceparent"))
        self.answer(status, reply)

    def do_GET(self):
        if self.path == "/health":
            self.server.stock.all()
            return self.answer(200, {"status": "ok"})
        if self.path == "/stock":
            return self.answer(200, self.server.stock.all())
        self.answer(404, {"error": "GET /health or /stock"})

    def answer(self, status, body):
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        if status == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_):  # one line per call is enough
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for the calls under way
    request_queue_size = 128

    def __init__(self, addr, stock):
        self.stock = stock
        super().__init__(addr, Handler)


def main():
    host, _, port = os.environ.get("STOCK_ADDR", "127.0.0.1:8091").rpartition(":")
    stock = Stock(os.environ.get("STOCK_DB", "stock.db"), int(os.environ.get("STOCK_INITIAL", "1000")))
    server = Server((host, int(port)), stock)
    for name in (signal.SIGTERM, signal.SIGINT):
        # From another thread: shutdown waits for serve_forever, which this one runs.
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    log("listening", addr="%s:%d" % server.server_address[:2])
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    stock.close()
    log("stopped")


if __name__ == "__main__":
    main()
