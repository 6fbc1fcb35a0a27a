// The tree over the event ids of one bundle (spec section 5).

import { fromHex, isHex, toHex } from "./bytes.js";
import { H, Prefix } from "./hash.js";
import { isArray, isCount, isObject, type Json } from "./json.js";

/** Most events of a bundle. */
export const MAX_BUNDLE = 4096;

export interface BundleProof {
  readonly event_id: string;
  readonly bundle_index: number;
  readonly bundle_size: number;
  readonly siblings: readonly string[];
}

/** The root over one id or more, hex. */
export function eventsRoot(ids: readonly string[]): string {
  if (ids.length === 0) throw new RangeError("a bundle has an event");
  let level = ids.map(fromHex);
  while (level.length > 1) level = levelAbove(level);
  return toHex(level[0] as Uint8Array);
}

/** The membership of the id at `index`. */
export function proveInBundle(ids: readonly string[], index: number): BundleProof {
  const event_id = ids[index];
  if (event_id === undefined) throw new RangeError("no such event in the bundle");
  const siblings: string[] = [];
  let level = ids.map(fromHex);
  for (let at = index; level.length > 1; at >>= 1) {
    const sibling = level[at ^ 1];
    if (sibling !== undefined) siblings.push(toHex(sibling));
    level = levelAbove(level);
  }
  return { event_id, bundle_index: index, bundle_size: ids.length, siblings };
}

export function parseBundleProof(value: Json): BundleProof | undefined {
  if (!isObject(value) || Object.keys(value).length !== 4) return undefined;
  const { event_id, bundle_index, bundle_size, siblings } = value;
  if (!isHex(event_id, 32) || !isCount(bundle_index) || !isCount(bundle_size)) return undefined;
  if (!isArray(siblings) || !siblings.every((hash) => isHex(hash, 32))) return undefined;
  return { event_id, bundle_index, bundle_size, siblings: siblings as readonly string[] };
}

/** Whether `proof` shows its event at `index` of `count` under `root`; both come from the log's entry, never from the proof. */
export function verifyInBundle(proof: BundleProof, index: number, count: number, root: string): boolean {
  if (proof.bundle_index !== index || proof.bundle_size !== count || index >= count || count > MAX_BUNDLE) return false;
  let hash = fromHex(proof.event_id);
  let used = 0;
  let last = count - 1;
  for (let at = index; last > 0; at >>= 1, last >>= 1) {
    if (at === last && at % 2 === 0) continue; // the odd node at the end is carried up as it is
    const sibling = proof.siblings[used++];
    if (sibling === undefined) return false;
    hash = at % 2 === 0 ? node(hash, fromHex(sibling)) : node(fromHex(sibling), hash);
  }
  return used === proof.siblings.length && toHex(hash) === root;
}

function node(left: Uint8Array, right: Uint8Array): Uint8Array {
  return H(Prefix.bundleNode, left, right);
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const right = level[i + 1];
    above.push(right === undefined ? (level[i] as Uint8Array) : node(level[i] as Uint8Array, right));
  }
  return above;
}
