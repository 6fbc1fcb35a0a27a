// The state tree (spec section 5): a sparse Merkle tree of depth 168 that shares what two versions have in common.

import { concat, fromHex, isHex, toHex, utf8 } from "./bytes.js";
import { EMPTY, H, Prefix, sha256 } from "./hash.js";
import { isArray, isObject, type Json } from "./json.js";

/** Namespaces of section 5. */
export const Namespace = { identity: 0, event: 1, value: 2, enclave: 3 } as const;

const DEPTH = 168;
const KEY_LEN = 21;
const EMPTY_HEX = toHex(EMPTY);

export interface StateProof {
  readonly k: string;
  readonly v: string | null;
  readonly b: string;
  readonly s: readonly string[];
}

interface Leaf {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** The hash of the subtree of this one leaf, by the depth at which it was asked for last. */
  cached: { readonly depth: number; readonly hash: Uint8Array } | undefined;
}
interface Branch {
  readonly left: Node;
  readonly right: Node;
  readonly hash: Uint8Array;
}
type Node = Leaf | Branch | undefined;

/** `namespace ‖ SHA-256(raw)[0..20]`, hex. */
export function stateKey(namespace: number, raw: Uint8Array): string {
  return toHex(concat(Uint8Array.of(namespace), sha256(raw).subarray(0, 20)));
}

/** Raw keys of section 5. */
export const sharedKey = (key: string): Uint8Array => concat(Uint8Array.of(0), utf8(key));
export const ownKey = (identity: string, key: string): Uint8Array => concat(Uint8Array.of(1), fromHex(identity), utf8(key));
export const gateKey = (alias: string): Uint8Array => utf8("gate:" + alias);
export const lifecycleKey = utf8("lifecycle");

/** `H(0x20, key, value)`. */
export function leafHash(key: Uint8Array, value: Uint8Array): Uint8Array {
  return H(Prefix.stateLeaf, key, value);
}

/** One version of the state; `put` makes the next. */
export class StateTree {
  private constructor(private readonly root: Node) {}

  static readonly empty = new StateTree(undefined);

  /** The state with `value` (32 bytes) at `key` (hex), or without the key. */
  put(key: string, value: Uint8Array | null): StateTree {
    const bytes = fromHex(key);
    if (bytes.length !== KEY_LEN) throw new RangeError("a state key has 21 bytes");
    return new StateTree(value === null ? remove(this.root, bytes, 0) : insert(this.root, bytes, value, 0));
  }

  value(key: string): Uint8Array | undefined {
    return find(this.root, fromHex(key));
  }

  /** Hex. */
  rootHash(): string {
    return toHex(hashAt(this.root, 0));
  }

  /** The proof of what stands at `key`, or that nothing does. */
  prove(key: string): StateProof {
    const path = fromHex(key);
    const bitmap = new Uint8Array(KEY_LEN);
    const siblings: string[] = [];
    let node = this.root;
    for (let depth = 0; depth < DEPTH && node !== undefined; depth++) {
      let sibling: Node;
      if (isLeaf(node)) {
        // A lone leaf off the path is the sibling where the two part; below that everything is empty.
        const apart: boolean = bit(node.key, depth) !== bit(path, depth);
        sibling = apart ? node : undefined;
        if (apart) node = undefined;
      } else {
        const right: boolean = bit(path, depth);
        sibling = right ? node.left : node.right;
        node = right ? node.right : node.left;
      }
      if (sibling === undefined) continue;
      bitmap[depth >> 3] = (bitmap[depth >> 3] as number) | (0x80 >> (depth & 7));
      siblings.push(toHex(hashAt(sibling, depth + 1)));
    }
    const value = find(this.root, path);
    return { k: key, v: value === undefined ? null : toHex(value), b: toHex(bitmap), s: siblings };
  }
}

/** Reads a proof; undefined where the shape is not exactly that of section 5. */
export function parseStateProof(value: Json): StateProof | undefined {
  if (!isObject(value) || Object.keys(value).length !== 4) return undefined;
  const { k, v, b, s } = value;
  if (!isHex(k, KEY_LEN) || !(v === null || isHex(v, 32)) || !isHex(b, KEY_LEN)) return undefined;
  if (!isArray(s) || !s.every((hash) => isHex(hash, 32))) return undefined;
  return { k, v, b, s: s as readonly string[] };
}

/** Whether `proof` shows `proof.v` at `key` under `root`. `key` is computed by the verifier, never taken from the proof. */
export function verifyStateProof(proof: StateProof, key: string, root: string): boolean {
  const bitmap = fromHex(proof.b);
  const path = fromHex(key);
  let left = proof.s.length;
  if (proof.k !== key || proof.s.includes(EMPTY_HEX) || countOnes(bitmap) !== left) return false;
  let hash = proof.v === null ? EMPTY : leafHash(path, fromHex(proof.v));
  for (let depth = DEPTH - 1; depth >= 0; depth--) {
    const sibling = bit(bitmap, depth) ? fromHex(proof.s[--left] as string) : EMPTY;
    hash = bit(path, depth) ? join(sibling, hash) : join(hash, sibling);
  }
  return toHex(hash) === root;
}

function isLeaf(node: Leaf | Branch): node is Leaf {
  return "key" in node;
}

function bit(bytes: Uint8Array, index: number): boolean {
  return ((bytes[index >> 3] as number) & (0x80 >> (index & 7))) !== 0;
}

function countOnes(bytes: Uint8Array): number {
  let ones = 0;
  for (let i = 0; i < bytes.length * 8; i++) if (bit(bytes, i)) ones++;
  return ones;
}

function isEmpty(hash: Uint8Array): boolean {
  return hash === EMPTY || toHex(hash) === EMPTY_HEX;
}

function join(left: Uint8Array, right: Uint8Array): Uint8Array {
  return isEmpty(left) && isEmpty(right) ? EMPTY : H(Prefix.stateNode, left, right);
}

function hashAt(node: Node, depth: number): Uint8Array {
  if (node === undefined) return EMPTY;
  if (!isLeaf(node)) return node.hash;
  if (node.cached?.depth === depth) return node.cached.hash;
  let hash = leafHash(node.key, node.value);
  for (let level = DEPTH - 1; level >= depth; level--) hash = bit(node.key, level) ? join(EMPTY, hash) : join(hash, EMPTY);
  node.cached = { depth, hash };
  return hash;
}

function branch(left: Node, right: Node, depth: number): Branch {
  return { left, right, hash: join(hashAt(left, depth + 1), hashAt(right, depth + 1)) };
}

function find(root: Node, key: Uint8Array): Uint8Array | undefined {
  let node = root;
  for (let depth = 0; node !== undefined && !isLeaf(node); depth++) node = bit(key, depth) ? node.right : node.left;
  return node !== undefined && toHex(node.key) === toHex(key) ? node.value : undefined;
}

function insert(node: Node, key: Uint8Array, value: Uint8Array, depth: number): Node {
  const leaf: Leaf = { key, value, cached: undefined };
  if (node === undefined || (isLeaf(node) && toHex(node.key) === toHex(key))) return leaf;
  if (!isLeaf(node)) {
    return bit(key, depth)
      ? branch(node.left, insert(node.right, key, value, depth + 1), depth)
      : branch(insert(node.left, key, value, depth + 1), node.right, depth);
  }
  if (bit(node.key, depth) !== bit(key, depth)) return bit(key, depth) ? branch(node, leaf, depth) : branch(leaf, node, depth);
  const deeper = insert(node, key, value, depth + 1);
  return bit(key, depth) ? branch(undefined, deeper, depth) : branch(deeper, undefined, depth);
}

function remove(node: Node, key: Uint8Array, depth: number): Node {
  if (node === undefined) return undefined;
  if (isLeaf(node)) return toHex(node.key) === toHex(key) ? undefined : node;
  const left = bit(key, depth) ? node.left : remove(node.left, key, depth + 1);
  const right = bit(key, depth) ? remove(node.right, key, depth + 1) : node.right;
  // A subtree that has one leaf left is that leaf, so that equal states are equal trees.
  if (left === undefined && (right === undefined || isLeaf(right))) return right;
  if (right === undefined && left !== undefined && isLeaf(left)) return left;
  return branch(left, right, depth);
}
