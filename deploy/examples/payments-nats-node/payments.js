#!/usr/bin/env node
// Authorizes payments of orders: a complete step over NATS in JavaScript, with nothing installed but Node.js.
//
// example.payments.authorize and example.payments.void take a StepRequest and answer with a StepReply;
// example.payments.health answers {"status":"ok"}. SIGTERM answers what has arrived and stops.
//
// Calls are safe to repeat, by any number of nodes, before and after a crash:
//
// - A call's answer is in the ledger, under its idempotency key, before it is given. The same key again gets the same
//   answer and does nothing; with another body it is answered 409.
// - A void leaves a tombstone: an authorization that arrives after it, however late, is refused.
// - A fencing token smaller than one seen for the order comes from a node that no longer owns the order: it does nothing.
//
// A large amount waits for the bank: the answer is pending, the order parks, and the bank's decision is sent to the order as
// a signal, repeatedly until it is stored, also after a restart.

import { createHash } from "node:crypto";
import { Ledger } from "./ledger.js";

const { connect, headers } = await import(process.env.PAYMENTS_NATS_CLIENT ?? "./nats.js");

const SIGNAL = "payment_confirmed";
const LARGE = 1000_00; // cents
const DEADLINE = 3600_000; // milliseconds until the node calls again without a signal
const CONFIRM_AFTER = Number(process.env.PAYMENTS_CONFIRM_AFTER ?? 5000); // milliseconds

const log = (msg, fields) => console.error(JSON.stringify({ time: new Date().toISOString(), msg, ...fields }));

const ledger = new Ledger(process.env.PAYMENTS_LEDGER ?? "payments.jsonl");
const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", name: "payments", maxReconnectAttempts: -1, waitOnFirstConnect: true,
});

function authorize({ order_id, order }) {
  const cents = Math.round(order.total_amount * 100); // JSON has doubles; everything after is exact
  if (order.customer_id === "c-declined") {
    return { reply: { rejected: { code: "card_declined", reason: "the bank refuses the card" } } };
  }
  const done = { done: { data: { authorization: `a-${order_id}` } } };
  if (cents <= LARGE) return { reply: done, payment: { state: "authorized", cents } };
  const due = Date.now() + (order.customer_id === "c-slow" ? DEADLINE : CONFIRM_AFTER);
  const deadline = new Date(Date.now() + DEADLINE).toISOString();
  return { reply: { pending: { signal: SIGNAL, deadline } }, payment: { state: "pending", cents, due } };
}

function voidPayment({ order_id, step }) {
  // The tombstone, whether anything was authorized or not.
  const answers = { [`${order_id}/${step}/do`]: { rejected: { code: "undone", reason: "it was voided" } } };
  return { reply: { done: {} }, answers, payment: { state: "void", cents: ledger.payment(order_id)?.cents ?? 0 } };
}

// Failure is answered with an error code instead of a StepReply.
class Failure extends Error {
  constructor(code, message) { super(message); this.code = code; }
}

// answer performs a call at most once per key. digest is that of its body.
function answer(request, digest, token, direction, act) {
  const { order_id: order, step, idempotency_key: key } = request;
  if (!order || !token || !request.order || key !== `${order}/${step}/${direction}`) {
    // No rejection: a caller that sends this is set up wrongly, and the order is not to blame.
    throw new Failure(400, `bad request: want a StepRequest with the key <order_id>/<step>/${direction}, and a fencing token`);
  }
  const known = ledger.answer(key);
  if (known && (ledger.body(key) ?? digest) !== digest) throw new Failure(409, "the idempotency key was used with another body");
  if (known?.pending && ledger.payment(order)?.state !== "pending") {
    return { done: { data: { authorization: `a-${order}` } } }; // the bank has decided since
  }
  if (known) return known;
  if (BigInt(token) < ledger.token(order)) { // 64 bits
    // Neither a rejection nor stored: the node that owns the order now gets the answer.
    return { retry: { reason: `fencing token ${token} is older than ${ledger.token(order)}`, after: "1s" } };
  }
  const { reply, answers, payment } = act(request);
  ledger.write({ order, token, answers: { ...answers, [key]: reply }, bodies: { [key]: digest }, payment });
  return reply;
}

function serve(subject, direction, act) {
  nc.subscribe(subject, { queue: "payments", callback: (error, msg) => {
    if (error) return log("subscription", { error: error.message });
    let request;
    try {
      request = msg.json();
      const digest = createHash("sha256").update(msg.data).digest("hex");
      const reply = answer(request, digest, msg.headers?.get("Orderly-Fencing-Token"), direction, act);
      log("call", {
        key: request.idempotency_key, attempt: msg.headers?.get("Orderly-Attempt"), result: Object.keys(reply)[0],
        traceparent: msg.headers?.get("traceparent"),
      });
      msg.respond(JSON.stringify(reply));
    } catch (error) { // 500: the node calls again with the same key
      log("call failed", { key: request?.idempotency_key, error: error.message });
      const h = headers();
      h.set("Nats-Service-Error-Code", error instanceof Failure ? `${error.code}` : "500");
      h.set("Nats-Service-Error", error instanceof Failure ? error.message : "internal error");
      msg.respond("", { headers: h });
    }
  } });
}

// confirm sends the bank's decision to the orders that wait for it.
async function confirm() {
  for (const order of ledger.unsettled()) {
    const p = ledger.payment(order); // a void may have arrived while another signal was being sent
    if (p.state === "void" || (p.state === "pending" && p.due > Date.now())) continue;
    if (p.state === "pending") ledger.write({ order, payment: { ...p, state: "confirmed" } });
    try {
      const h = headers();
      h.set("Orderly-Type", "order.signal");
      const body = JSON.stringify({ name: SIGNAL, data: { authorization: `a-${order}` } });
      // JetStream answers once the signal is stored. A signal that is sent twice does no harm.
      const stored = await nc.request(`ORDER.${order}`, body, { timeout: 5000, headers: h });
      if (stored.json().error) throw new Error(stored.json().error.description);
      if (ledger.payment(order).state === "confirmed") ledger.write({ order, payment: { ...p, state: "authorized" } });
      log("confirmed", { order });
    } catch (error) {
      log("signal not stored, trying again", { order, error: error.message });
    }
  }
}

serve("example.payments.authorize", "do", authorize);
serve("example.payments.void", "undo", voidPayment);
nc.subscribe("example.payments.health", { callback: (_, msg) => msg.respond(JSON.stringify({ status: "ok" })) });
log("listening", { subjects: "example.payments.*" });

let confirming = Promise.resolve();
let busy = false;
const ticker = setInterval(() => {
  if (busy) return;
  busy = true;
  confirming = confirm().finally(() => { busy = false; });
}, 100);

for (const name of ["SIGTERM", "SIGINT"]) {
  process.once(name, async () => {
    clearInterval(ticker);
    await confirming;
    await nc.drain();
    ledger.close();
    log("stopped");
  });
}
