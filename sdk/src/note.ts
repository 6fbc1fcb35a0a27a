// C2SP signed notes and checkpoints, and the two lines under an enclave's (spec section 5).

import { ed25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { concat, equalBytes, fromHex, parseBase64, toBase64, toHex, utf8 } from "./bytes.js";
import { sha256 } from "./hash.js";
import { verifySignature, type Keypair } from "./key.js";
import type { Head } from "./log.js";

/** Signature types of C2SP, and ours under the private one. */
const ED25519 = Uint8Array.of(0x01);
const BIP340 = concat(Uint8Array.of(0xff), utf8("enc/bip340/v1"));

export interface NoteLine {
  readonly name: string;
  /** 4 bytes. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Note {
  /** Ends in a newline. */
  readonly text: string;
  readonly lines: readonly NoteLine[];
}

/** Splits a note at its last blank line; undefined where it is none. */
export function parseNote(note: string): Note | undefined {
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || !note.endsWith("\n") || /[\u0000-\u0009\u000b-\u001f]/.test(note)) return undefined;
  const rows = note.slice(split + 2, -1).split("\n");
  const lines: NoteLine[] = [];
  for (const row of rows) {
    const [, name, encoded] = /^— ([^\s+]+) (\S+)$/u.exec(row) ?? [];
    const blob = encoded === undefined ? undefined : parseBase64(encoded);
    if (name === undefined || blob === undefined || blob.length < 5) return undefined;
    lines.push({ name, keyId: blob.subarray(0, 4), signature: blob.subarray(4) });
  }
  return { text: note.slice(0, split + 1), lines };
}

export interface Checkpoint extends Head {
  readonly origin: string;
}

/** The three lines of a checkpoint; extension lines may follow. Undefined where it is none. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const [origin, size, root] = text.split("\n");
  const hash = root === undefined ? undefined : parseBase64(root);
  if (!origin || size === undefined || !/^(0|[1-9][0-9]*)$/.test(size) || hash?.length !== 32) return undefined;
  const tree_size = Number(size);
  return Number.isSafeInteger(tree_size) ? { origin, tree_size, root_hash: toHex(hash) } : undefined;
}

export function checkpointText(origin: string, head: Head): string {
  return `${origin}\n${head.tree_size}\n${toBase64(fromHex(head.root_hash))}\n`;
}

/** Origin and key name of an enclave's log. */
export function originOf(enclave: string): string {
  return "enc/" + enclave;
}

/** An enclave's Ed25519 log key: 32 bytes of seed, which follow from the sequencer's key. */
export function logSeed(sequencer: Keypair, enclave: string): Uint8Array {
  return hkdf(nobleSha256, sequencer.priv, undefined, concat(utf8("enc/log-key/v1"), fromHex(enclave)), 32);
}

/** `<name>+<key id>+base64(0x01 ‖ key)`. */
export function vkey(name: string, seed: Uint8Array): string {
  const key = ed25519.getPublicKey(seed);
  return `${name}+${toHex(keyIdOf(name, ED25519, key))}+${toBase64(concat(ED25519, key))}`;
}

/** Reads an Ed25519 vkey; undefined where it is none, or its key id is not that of its key. */
export function parseVkey(text: string): { readonly name: string; readonly key: Uint8Array } | undefined {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  const blob = encoded === undefined ? undefined : parseBase64(encoded);
  if (name === undefined || blob?.length !== 33 || blob[0] !== 1) return undefined;
  const key = blob.subarray(1);
  return toHex(keyIdOf(name, ED25519, key)) === id ? { name, key } : undefined;
}

/** A note of `text` with one Ed25519 line. */
export function signNote(name: string, seed: Uint8Array, text: string): string {
  return `${text}\n${ed25519Line(name, seed, text)}`;
}

/** An enclave's checkpoint with its two lines. */
export function signCheckpoint(sequencer: Keypair, enclave: string, head: Head): string {
  const name = originOf(enclave);
  const text = checkpointText(name, head);
  const sig = fromHex(sequencer.sign(checkpointMessage(text)));
  const first = line(name, keyIdOf(name, BIP340, fromHex(sequencer.pub)), sig);
  return `${text}\n${first}${ed25519Line(name, logSeed(sequencer, enclave), text)}`;
}

/** The head that `note` states, if the sequencer signed it; with `logVkey` its Ed25519 line has to hold too. */
export function verifyCheckpoint(note: string, enclave: string, sequencer: string, logVkey?: string): Head | undefined {
  const parsed = parseNote(note);
  const checkpoint = parsed === undefined ? undefined : parseCheckpoint(parsed.text);
  if (parsed === undefined || checkpoint?.origin !== originOf(enclave)) return undefined;
  const id = keyIdOf(checkpoint.origin, BIP340, fromHex(sequencer));
  const message = checkpointMessage(parsed.text);
  if (!everyKnownLine(parsed, checkpoint.origin, id, (sig) => verifySignature(sequencer, message, toHex(sig)))) return undefined;
  if (logVkey !== undefined && !verifyNote(parsed, logVkey)) return undefined;
  return { tree_size: checkpoint.tree_size, root_hash: checkpoint.root_hash };
}

/** Whether `note` has a line by the key of an Ed25519 vkey and every such line holds. */
export function verifyNote(note: Note, vkeyText: string): boolean {
  const known = parseVkey(vkeyText);
  if (known === undefined) return false;
  const text = utf8(note.text);
  return everyKnownLine(note, known.name, keyIdOf(known.name, ED25519, known.key), (sig) => ed25519Holds(sig, text, known.key));
}

/** What the sequencer signs under a checkpoint: 32 bytes. */
export function checkpointMessage(text: string): Uint8Array {
  return sha256(utf8("enc:checkpoint:"), utf8(text));
}

function everyKnownLine(note: Note, name: string, id: Uint8Array, holds: (sig: Uint8Array) => boolean): boolean {
  const known = note.lines.filter((line) => line.name === name && equalBytes(line.keyId, id));
  return known.length > 0 && known.every((line) => holds(line.signature));
}

function ed25519Holds(sig: Uint8Array, text: Uint8Array, key: Uint8Array): boolean {
  try {
    return sig.length === 64 && ed25519.verify(sig, text, key, { zip215: false });
  } catch {
    return false;
  }
}

function ed25519Line(name: string, seed: Uint8Array, text: string): string {
  return line(name, keyIdOf(name, ED25519, ed25519.getPublicKey(seed)), ed25519.sign(utf8(text), seed));
}

function keyIdOf(name: string, type: Uint8Array, key: Uint8Array): Uint8Array {
  return sha256(utf8(name), Uint8Array.of(0x0a), type, key).subarray(0, 4);
}

function line(name: string, keyId: Uint8Array, signature: Uint8Array): string {
  return `— ${name} ${toBase64(concat(keyId, signature))}\n`;
}
