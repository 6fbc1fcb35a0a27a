// The log (spec section 5): entries of 80 bytes in an RFC 9162 tree.

import { be64, concat, fromHex, isHex, toHex } from "./bytes.js";
import { MAX_BUNDLE } from "./bundle-tree.js";
import { EMPTY, H, Prefix, sha256 } from "./hash.js";
import { isCount, isObject, type Json } from "./json.js";

export interface Entry {
  readonly events_root: string;
  readonly state_commit: string;
  readonly first_seq: number;
  readonly count: number;
}

/** `H(0x22, …)`: the state's root, blinded by the hash of the bundle's last event. Hex. */
export function stateCommit(lastEventHash: string, stateHash: string): string {
  return toHex(H(Prefix.stateCommit, fromHex(lastEventHash), fromHex(stateHash)));
}

/** The 80 bytes of an entry. */
export function encodeEntry(entry: Entry): Uint8Array {
  return concat(fromHex(entry.events_root), fromHex(entry.state_commit), be64(entry.first_seq), be64(entry.count));
}

/** An entry as an answer holds it; undefined where it is none. */
export function parseEntry(value: Json | undefined): Entry | undefined {
  if (!isObject(value) || Object.keys(value).length !== 4) return undefined;
  const { events_root, state_commit, first_seq, count } = value;
  if (!isHex(events_root, 32) || !isHex(state_commit, 32) || !isCount(first_seq) || !isCount(count)) return undefined;
  return count >= 1 && count <= MAX_BUNDLE ? { events_root, state_commit, first_seq, count } : undefined;
}

/** RFC 9162 leaf hash. */
export function logLeaf(entry: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(0), entry);
}

function node(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(1), left, right);
}

/** A log's leaves, with the hash of every full subtree kept once. */
export class Log {
  /** `levels[l][i]` covers the leaves from `i·2^l` on; only full subtrees are here. */
  private readonly levels: Uint8Array[][] = [[]];

  get size(): number {
    return this.level(0).length;
  }

  append(leaf: Uint8Array): void {
    let hash = leaf;
    for (let level = 0; ; level++) {
      const row = this.level(level);
      row.push(hash);
      if (row.length % 2 !== 0) return;
      hash = node(row[row.length - 2] as Uint8Array, hash);
    }
  }

  /** The root over the first `size` leaves. */
  root(size: number = this.size): Uint8Array {
    return size === 0 ? EMPTY : this.range(0, size);
  }

  /** Merkle tree hash of the leaves from `start`, `count` of them; `start` is a multiple of the largest power of two below `count`. */
  range(start: number, count: number): Uint8Array {
    if (start + count > this.size || count < 1) throw new RangeError("beyond the log");
    const level = Math.log2(count);
    if (Number.isInteger(level) && start % count === 0) return this.level(level)[start / count] as Uint8Array;
    const k = largestPowerBelow(count);
    return node(this.range(start, k), this.range(start + k, count - k));
  }

  /** RFC 9162 section 2.1.3.1, leaf to root. */
  inclusion(index: number, size: number): Uint8Array[] {
    if (index >= size || size > this.size) throw new RangeError("beyond the log");
    return this.path(index, 0, size);
  }

  /** RFC 9162 section 2.1.4.1; empty for `from` 0 and for `from` = `to`. */
  consistency(from: number, to: number): Uint8Array[] {
    if (from > to || to > this.size) throw new RangeError("beyond the log");
    return from === 0 || from === to ? [] : this.subproof(from, 0, to, true);
  }

  private path(index: number, start: number, count: number): Uint8Array[] {
    if (count === 1) return [];
    const k = largestPowerBelow(count);
    return index < k
      ? [...this.path(index, start, k), this.range(start + k, count - k)]
      : [...this.path(index - k, start + k, count - k), this.range(start, k)];
  }

  private subproof(m: number, start: number, count: number, whole: boolean): Uint8Array[] {
    if (m === count) return whole ? [] : [this.range(start, count)];
    const k = largestPowerBelow(count);
    return m <= k
      ? [...this.subproof(m, start, k, whole), this.range(start + k, count - k)]
      : [...this.subproof(m - k, start + k, count - k, false), this.range(start, k)];
  }

  private level(level: number): Uint8Array[] {
    return (this.levels[level] ??= []);
  }
}

function largestPowerBelow(count: number): number {
  let k = 1;
  while (k * 2 < count) k *= 2;
  return k;
}

/** RFC 9162 section 2.1.3.2. All hashes in hex; `size` comes from a signed head, never from the answer. */
export function verifyInclusion(leaf: string, index: number, size: number, path: readonly string[], root: string): boolean {
  if (index >= size) return false;
  let fn = index;
  let sn = size - 1;
  let hash = fromHex(leaf);
  for (const sibling of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = node(fromHex(sibling), hash);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      hash = node(hash, fromHex(sibling));
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && toHex(hash) === root;
}

/** One end of a consistency proof; the root in hex. */
export interface Head {
  readonly tree_size: number;
  readonly root_hash: string;
}

/** RFC 9162 section 2.1.4.2. The empty log is consistent with every other, by an empty path. */
export function verifyConsistency(from: Head, to: Head, path: readonly string[]): boolean {
  const first = from.tree_size;
  if (first > to.tree_size) return false;
  if (first === to.tree_size) return path.length === 0 && from.root_hash === to.root_hash;
  if (first === 0) return path.length === 0 && from.root_hash === toHex(EMPTY);
  const isPower = Number.isInteger(Math.log2(first));
  const hashes = (isPower ? [from.root_hash, ...path] : [...path]).map(fromHex);
  let fn = first - 1;
  let sn = to.tree_size - 1;
  const half = (): void => {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  };
  while (fn % 2 === 1) half();
  let older = hashes[0];
  let newer = hashes[0];
  if (older === undefined || newer === undefined || path.length === 0) return false;
  for (const hash of hashes.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      older = node(hash, older);
      newer = node(hash, newer);
      while (fn % 2 === 0 && fn !== 0) half();
    } else {
      newer = node(newer, hash);
    }
    half();
  }
  return sn === 0 && toHex(older) === from.root_hash && toHex(newer) === to.root_hash;
}
