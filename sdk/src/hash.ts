// Hashes (spec section 1).

import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { concat, toHex } from "./bytes.js";
import { encodeCbor, type Cbor } from "./cbor.js";
import { jcsBytes } from "./json.js";

/** The registry of prefixes; each stands for one use of `H`. */
export const Prefix = {
  bundleNode: 0x01,
  commit: 0x10,
  event: 0x11,
  enclave: 0x12,
  stateLeaf: 0x20,
  stateNode: 0x21,
  stateCommit: 0x22,
} as const;

/** What stands in a hashed array: numbers are whole and not negative. */
export type Field = number | Uint8Array | string | readonly Field[];

/** SHA-256 of the parts one after another. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return nobleSha256(parts.length === 1 ? (parts[0] as Uint8Array) : concat(...parts));
}

/** The bytes that `H` hashes. */
export function preimage(prefix: number, ...fields: readonly Field[]): Uint8Array {
  return encodeCbor([prefix, ...fields] as Cbor);
}

/** `H(prefix, fields…)`, 32 bytes. */
export function H(prefix: number, ...fields: readonly Field[]): Uint8Array {
  return nobleSha256(preimage(prefix, ...fields));
}

/** SHA-256 of the RFC 8785 form, as hex: a string is hashed with its quotes. */
export function contentHash(content: unknown): string {
  return toHex(nobleSha256(jcsBytes(content)));
}

/** SHA-256 of nothing: the empty log and every empty subtree of the state. */
export const EMPTY = nobleSha256(new Uint8Array(0));
