// The memory of the payments: a file of JSON lines. A line is on the disk before its call is answered, and a line that a
// crash cut short belongs to a call that was not.

import fs from "node:fs";

export class Ledger {
  #file; #size;
  #answers = new Map(); // reply by idempotency key
  #bodies = new Map();  // digest of the request by idempotency key
  #tokens = new Map();  // highest fencing token by order
  #payments = new Map(); // state by order: { state, cents, due }

  constructor(path) {
    this.#file = fs.openSync(path, "a+", 0o600);
    const text = fs.readFileSync(path, "utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    this.#size = Buffer.byteLength(whole);
    fs.ftruncateSync(this.#file, this.#size);
    for (const line of whole.split("\n")) if (line) this.#apply(JSON.parse(line));
  }

  // write makes an entry durable, whole or not at all: { order, token, answers: { key: reply }, bodies: { key: digest }, payment },
  // every field but order optional.
  write(entry) {
    const line = Buffer.from(JSON.stringify({ at: new Date().toISOString(), ...entry }) + "\n");
    try {
      fs.writeSync(this.#file, line);
      fs.fdatasyncSync(this.#file);
    } catch (error) {
      fs.ftruncateSync(this.#file, this.#size); // half a line must not precede the next
      throw error;
    }
    this.#size += line.length;
    this.#apply(entry);
  }

  #apply({ order, token, answers, bodies, payment }) {
    for (const [key, reply] of Object.entries(answers ?? {})) this.#answers.set(key, reply);
    for (const [key, digest] of Object.entries(bodies ?? {})) this.#bodies.set(key, digest);
    if (token) this.#tokens.set(order, BigInt(token));
    if (payment) this.#payments.set(order, payment);
  }

  answer(key) { return this.#answers.get(key); }
  // body is undefined for a key that is refused whatever its body is.
  body(key) { return this.#bodies.get(key); }
  token(order) { return this.#tokens.get(order) ?? 0n; }
  payment(order) { return this.#payments.get(order); }
  // unsettled are the orders whose payment the bank has not confirmed, or whose signal is not stored.
  unsettled() { return [...this.#payments].filter(([, p]) => p.state === "pending" || p.state === "confirmed").map(([order]) => order); }
  close() { fs.closeSync(this.#file); }
}
