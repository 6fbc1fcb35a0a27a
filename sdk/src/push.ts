// Deliveries (spec section 8.4), as a receiver judges them.

import { isHex, utf8 } from "./bytes.js";
import { parseEvent, verifyEvent } from "./event.js";
import { sha256 } from "./hash.js";
import { isArray, isCount, isObject, jcsBytes, type Json, type JsonObject } from "./json.js";
import { verifySignature } from "./key.js";

/** How far a delivery's time may be from the receiver's; milliseconds. */
const MAX_SKEW_MS = 300_000;

/** What is signed: 32 bytes. `body` without `sig`. */
export function deliveryMessage(body: JsonObject): Uint8Array {
  const { sig: _, ...unsigned } = body;
  return sha256(utf8("enc:push:"), jcsBytes(unsigned));
}

/** What a receiver knows without the delivery. `sequencer` comes from the Manifest and the Migrates. */
export interface Receiver {
  readonly sequencer: string;
  readonly url: string;
  readonly now: number;
  readonly enclave?: string;
}

/** Whether a receiver takes `body`: shape, destination, time, signature, and each event. */
export function verifyDelivery(body: Json, receiver: Receiver): boolean {
  if (!isObject(body) || !isDelivery(body)) return false;
  const { to, time, seq_pub, sig, enclave, events } = body;
  if (to !== receiver.url || Math.abs(receiver.now - (time as number)) > MAX_SKEW_MS) return false;
  if (seq_pub !== receiver.sequencer || (receiver.enclave !== undefined && enclave !== receiver.enclave)) return false;
  if (!verifySignature(receiver.sequencer, deliveryMessage(body), sig as string)) return false;
  if (!isArray(events)) return true;
  return events.every((value) => {
    const event = parseEvent(value);
    return event !== undefined && event.enclave === enclave && verifyEvent(event, receiver.sequencer);
  });
}

function isDelivery(body: JsonObject): boolean {
  const members = ["push_seq", "enclave", "to", "time", "from_seq", "seq_pub", "sig", "events" in body ? "events" : "notify"];
  return (
    Object.keys(body).length === members.length && members.every((name) => body[name] !== undefined) &&
    isHex(body.enclave, 32) && isHex(body.sig, 64) && isHex(body.seq_pub, 32) &&
    isCount(body.push_seq) && isCount(body.time) && isCount(body.from_seq) &&
    (isArray(body.events) || (isArray(body.notify) && body.notify.every(isNotice)))
  );
}

function isNotice(value: Json): boolean {
  return isObject(value) && Object.keys(value).length === 3 && isHex(value.id, 32) && isCount(value.seq) && typeof value.type === "string";
}

