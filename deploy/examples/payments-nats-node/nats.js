// As much of a NATS client as payments.js needs, so that the example runs with nothing installed. It has the shape of the
// official client, @nats-io/transport-node, which is what a real service uses: TLS, credentials, clusters, back pressure.

import { randomUUID } from "node:crypto";
import net from "node:net";

const RECONNECT_WAIT = 500; // milliseconds

export class Headers {
  #values = new Map();
  set(key, value) { this.#values.set(key, value); }
  get(key) { return this.#values.get(key) ?? ""; }
  encode() {
    let text = "NATS/1.0\r\n";
    for (const [key, value] of this.#values) text += `${key}: ${String(value).replace(/[\r\n]+/g, " ")}\r\n`;
    return Buffer.from(text + "\r\n");
  }
  static decode(bytes) {
    const [status, ...lines] = bytes.toString().split("\r\n");
    const h = new Headers();
    h.code = Number(status.slice("NATS/1.0 ".length, "NATS/1.0 ".length + 3)) || 0;
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon > 0) h.set(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return h;
  }
}

export const headers = () => new Headers();

// connect waits until the server accepts a connection, and reconnects when it is lost.
export async function connect({ servers, name }) {
  const nc = new Connection(new URL(servers), name);
  await nc.ready;
  return nc;
}

class Connection {
  #url; #name; #socket; #buffer = Buffer.alloc(0); #lastSid = 0; #subscriptions = new Map(); #closing = false;
  #connected; #ended; #flushed = []; #closed = new Promise((resolve) => { this.#ended = resolve; });

  constructor(url, name) {
    this.#url = url;
    this.#name = name;
    this.ready = new Promise((resolve) => { this.#connected = resolve; });
    this.#dial();
  }

  subscribe(subject, { queue = "", callback, max = 0 }) {
    const sid = ++this.#lastSid;
    this.#subscriptions.set(sid, { subject, queue, callback, left: max || Infinity });
    this.#write(`SUB ${subject} ${queue} ${sid}\r\n`);
    return { unsubscribe: () => { this.#subscriptions.delete(sid); this.#write(`UNSUB ${sid}\r\n`); } };
  }

  publish(subject, data = "", { headers, reply = "" } = {}) {
    const body = Buffer.from(data);
    const head = headers ? headers.encode() : Buffer.alloc(0);
    const command = headers
      ? `HPUB ${subject} ${reply} ${head.length} ${head.length + body.length}\r\n`
      : `PUB ${subject} ${reply} ${body.length}\r\n`;
    this.#write(Buffer.concat([Buffer.from(command), head, body, Buffer.from("\r\n")]));
  }

  request(subject, data, { timeout = 2000, headers } = {}) {
    return new Promise((resolve, reject) => {
      const reply = `_INBOX.${randomUUID()}`;
      const timer = setTimeout(() => { sub.unsubscribe(); reject(new Error(`${subject}: no answer within ${timeout} ms`)); }, timeout);
      const sub = this.subscribe(reply, { max: 1, callback: (_, msg) => {
        clearTimeout(timer);
        if (msg.headers?.code === 503) reject(new Error(`${subject}: nobody listens`));
        else resolve(msg);
      } });
      this.publish(subject, data, { headers, reply });
    });
  }

  // drain unsubscribes, sends the answers to messages that have arrived, and closes.
  async drain() {
    this.#closing = true;
    for (const sid of this.#subscriptions.keys()) this.#write(`UNSUB ${sid}\r\n`);
    const flushed = new Promise((resolve) => this.#flushed.push(resolve));
    this.#write("PING\r\n");
    await Promise.race([flushed, this.#closed]); // every message that the server sent before has been answered
    this.#socket.end();
    await this.#closed;
  }

  #write(bytes) { if (this.#socket?.writable) this.#socket.write(bytes); }

  #dial() {
    this.#buffer = Buffer.alloc(0);
    this.#socket = net.connect(Number(this.#url.port || 4222), this.#url.hostname)
      .setNoDelay(true)
      .on("data", (chunk) => { this.#buffer = Buffer.concat([this.#buffer, chunk]); this.#read(); })
      .on("error", () => {}) // "close" follows
      .on("close", () => {
        if (this.#closing) this.#ended();
        else setTimeout(() => (this.#closing ? this.#ended() : this.#dial()), RECONNECT_WAIT);
      });
  }

  #read() {
    for (;;) {
      const end = this.#buffer.indexOf("\r\n");
      if (end < 0) return;
      const [verb, ...args] = this.#buffer.subarray(0, end).toString().split(/\s+/);
      let size = end + 2;
      if (verb === "MSG" || verb === "HMSG") {
        size += Number(args.at(-1)) + 2;
        if (this.#buffer.length < size) return;
        const payload = this.#buffer.subarray(end + 2, size - 2);
        this.#deliver(args, payload, verb === "HMSG" ? Number(args.at(-2)) : 0);
      }
      this.#buffer = this.#buffer.subarray(size);
      if (verb === "INFO") this.#greet();
      if (verb === "PING") this.#write("PONG\r\n");
      if (verb === "PONG") this.#flushed.shift()?.();
    }
  }

  #greet() {
    this.#write(`CONNECT ${JSON.stringify({ verbose: false, pedantic: false, lang: "example", version: "1", name: this.#name, headers: true, no_responders: true })}\r\n`);
    for (const [sid, s] of this.#subscriptions) this.#write(`SUB ${s.subject} ${s.queue} ${sid}\r\n`);
    this.#flushed.unshift(this.#connected); // the first PONG means that the server has processed all of it
    this.#write("PING\r\n");
  }

  #deliver(args, payload, headerSize) {
    const sid = Number(args[1]);
    const s = this.#subscriptions.get(sid);
    if (!s) return;
    if (--s.left === 0) { this.#subscriptions.delete(sid); this.#write(`UNSUB ${sid}\r\n`); }
    const fixed = headerSize > 0 ? 4 : 3; // subject, sid and sizes; a reply subject makes one more
    const reply = args.length > fixed ? args[2] : "";
    const data = payload.subarray(headerSize);
    s.callback(null, {
      subject: args[0], reply, data,
      headers: headerSize > 0 ? Headers.decode(payload.subarray(0, headerSize)) : undefined,
      json: () => JSON.parse(data.toString()),
      respond: (body, options) => { if (reply) this.publish(reply, body, options); },
    });
  }
}
