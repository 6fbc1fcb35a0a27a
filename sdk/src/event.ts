// Events and receipts (spec section 2).

import { fromHex, isHex, toHex } from "./bytes.js";
import { ALG, commitHash, isEventType, MAX_EXP_MS, SKEW_MS, tagsOf, type Commit, type Tags } from "./commit.js";
import { contentHash, H, Prefix, sha256 } from "./hash.js";
import { isCount, isObject, type Json, type JsonObject } from "./json.js";
import { verifySignature, type Keypair } from "./key.js";

/** The place that a sequencer gives a commit. */
export interface Place {
  readonly seq: number;
  readonly type_seq: number;
  readonly timestamp: number;
  readonly prev: string;
  readonly sequencer: string;
}

/** An event; without `content` and with `deleted` and `content_hash` once it was deleted. */
export interface Event extends Place {
  readonly hash: string;
  readonly enclave: string;
  readonly from: string;
  readonly type: string;
  readonly content?: Json;
  readonly content_hash?: string;
  readonly deleted?: true;
  readonly exp: number;
  readonly tags: Tags;
  readonly alg: string;
  readonly sig: string;
  readonly seq_sig: string;
  readonly id: string;
}

export interface Receipt extends Place {
  readonly type: "Receipt";
  readonly id: string;
  readonly hash: string;
  readonly enclave: string;
  readonly alg: string;
  readonly sig: string;
  readonly seq_sig: string;
}

/** `prev` of the Manifest. */
export const NO_EVENT = "00".repeat(32);

/** What the event hash covers beside the place. */
export interface Signed {
  readonly hash: string;
  readonly sig: string;
  readonly alg?: string;
}

/** `H(0x11, …)` in hex. */
export function eventHash(commit: Signed, place: Place): string {
  const { seq, type_seq, timestamp, prev, sequencer } = place;
  const alg = commit.alg ?? ALG;
  const fields = [fromHex(commit.hash), fromHex(commit.sig), alg, seq, type_seq, timestamp, fromHex(prev), fromHex(sequencer)];
  return toHex(H(Prefix.event, ...fields));
}

/** SHA-256 of the sequencer's signature, in hex. */
export function eventId(seqSig: string): string {
  return toHex(sha256(fromHex(seqSig)));
}

/** Signs the place of `commit`. */
export function seal(key: Keypair, commit: Commit, place: Omit<Place, "sequencer">): Event {
  const full = { ...place, sequencer: key.pub };
  const seq_sig = key.sign(fromHex(eventHash(commit, full)));
  return { ...commit, alg: ALG, ...full, seq_sig, id: eventId(seq_sig) };
}

export function receiptOf(event: Event): Receipt {
  const { id, hash, enclave, alg, seq, type_seq, timestamp, prev, sequencer, sig, seq_sig } = event;
  return { type: "Receipt", id, hash, enclave, alg, seq, type_seq, timestamp, prev, sequencer, sig, seq_sig };
}

/** The event as it is served once it was deleted. */
export function withoutContent(event: Event): Event {
  if (event.deleted) return event;
  const { content, ...rest } = event;
  return { ...rest, content_hash: contentHash(content), deleted: true };
}

/** The hash of the content of an event, deleted or not. */
export function contentHashOf(event: Event): string {
  return event.deleted ? (event.content_hash as string) : contentHash(event.content);
}

const EVENT_MEMBERS = [
  "hash", "enclave", "from", "type", "exp", "tags", "alg", "sig", "seq", "type_seq", "timestamp", "prev", "sequencer", "seq_sig", "id",
];
const RECEIPT_MEMBERS = ["type", "id", "hash", "enclave", "alg", "seq", "type_seq", "timestamp", "prev", "sequencer", "sig", "seq_sig"];

/** The event of exactly the members of section 2, or undefined. Nothing is said of its hashes or signatures. */
export function parseEvent(value: Json): Event | undefined {
  if (!isObject(value)) return undefined;
  const members = value.deleted === undefined ? [...EVENT_MEMBERS, "content"] : [...EVENT_MEMBERS, "content_hash", "deleted"];
  if (!hasExactly(value, members) || !placeAndSignatures(value)) return undefined;
  if (value.deleted !== undefined && (value.deleted !== true || !isHex(value.content_hash, 32))) return undefined;
  if (!isHex(value.from, 32) || !isEventType(value.type) || !isCount(value.exp)) return undefined;
  try {
    tagsOf(value.tags);
  } catch {
    return undefined;
  }
  return value as unknown as Event;
}

/** As `parseEvent`, for a receipt. */
export function parseReceipt(value: Json): Receipt | undefined {
  if (!isObject(value) || value.type !== "Receipt") return undefined;
  return hasExactly(value, RECEIPT_MEMBERS) && placeAndSignatures(value) ? (value as unknown as Receipt) : undefined;
}

/** Whether every hash and both signatures of `event` hold, by `sequencer`, and its time lies within the bounds of `exp`. */
export function verifyEvent(event: Event, sequencer: string): boolean {
  return (
    commitHash(event, contentHashOf(event)) === event.hash &&
    verifySignature(event.from, fromHex(event.hash), event.sig) &&
    withinWindow(event.exp, event.timestamp) &&
    verifySealed(event, sequencer)
  );
}

/** Whether `receipt` is the word of `sequencer`, and its id follows from it. What it is a receipt for is `isReceiptFor`. */
export function verifyReceipt(receipt: Receipt, sequencer: string): boolean {
  return verifySealed(receipt, sequencer);
}

/** Whether a receipt speaks of this commit and its time lies within the bounds of `exp`. */
export function isReceiptFor(receipt: Receipt, commit: Commit): boolean {
  return (
    receipt.hash === commit.hash && receipt.sig === commit.sig && receipt.enclave === commit.enclave &&
    withinWindow(commit.exp, receipt.timestamp)
  );
}

/** `exp − 3,600,000 ≤ timestamp ≤ exp + 60,000`. */
export function withinWindow(exp: number, timestamp: number): boolean {
  return exp - MAX_EXP_MS <= timestamp && timestamp <= exp + SKEW_MS;
}

function verifySealed(sealed: Event | Receipt, sequencer: string): boolean {
  return (
    sealed.sequencer === sequencer && sealed.alg === ALG &&
    verifySignature(sequencer, fromHex(eventHash(sealed, sealed)), sealed.seq_sig) &&
    eventId(sealed.seq_sig) === sealed.id
  );
}

function hasExactly(value: JsonObject, members: readonly string[]): boolean {
  return Object.keys(value).length === members.length && members.every((name) => value[name] !== undefined);
}

function placeAndSignatures(value: JsonObject): boolean {
  return (
    ["hash", "enclave", "prev", "sequencer", "id"].every((name) => isHex(value[name], 32)) &&
    ["sig", "seq_sig"].every((name) => isHex(value[name], 64)) &&
    ["seq", "type_seq", "timestamp"].every((name) => isCount(value[name])) &&
    value.alg === ALG
  );
}
