// Snapshots (spec section 8.2): `ENC1` and one deterministic CBOR map.

import { concat, fromHex, toHex, utf8 } from "./bytes.js";
import { CborError, decodeCbor, encodeCbor, type Cbor } from "./cbor.js";
import { parseEvent, type Event } from "./event.js";
import { isArray, isCount, isObject, type Json } from "./json.js";
import { parseSth, type Sth } from "./sth.js";

const MAGIC = utf8("ENC1");

export interface Snapshot {
  readonly events: readonly Event[];
  /** How many events each closed bundle has; those beyond are the open bundle. */
  readonly bundles: readonly number[];
  readonly sth: Sth;
  /** The key that signed `sth`, hex. */
  readonly seqPub: string;
}

export function encodeSnapshot({ events, bundles, sth, seqPub }: Snapshot): Uint8Array {
  const map = { manifest: events[0], events, bundles, sth, seq_pub: fromHex(seqPub) };
  return concat(MAGIC, encodeCbor(map as unknown as Cbor));
}

/** The parts of an `.enc` file; undefined where it is none. What it holds is judged by `replay`. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot | undefined {
  if (toHex(bytes.subarray(0, MAGIC.length)) !== toHex(MAGIC)) return undefined;
  const map = decoded(bytes.subarray(MAGIC.length));
  if (map === undefined || Object.keys(map).length !== 5) return undefined;
  const { manifest, events, bundles, sth, seq_pub } = map;
  if (!(seq_pub instanceof Uint8Array) || seq_pub.length !== 32) return undefined;
  // Apart from `seq_pub` the map is the image of JSON, so what the JSON readers take holds no byte string either.
  const head = parseSth(sth as Json);
  const list = isArray(events as Json) ? (events as Json[]).map(parseEvent) : [];
  const counts = bundles as Json;
  if (head === undefined || list.length === 0 || list.includes(undefined) || !isArray(counts) || !counts.every(isCount)) return undefined;
  if (holdsBytes(events as Cbor) || toHex(encodeCbor(manifest as Cbor)) !== toHex(encodeCbor(list[0] as unknown as Cbor))) return undefined;
  return { events: list as Event[], bundles: counts as number[], sth: head, seqPub: toHex(seq_pub) };
}

function decoded(bytes: Uint8Array): { readonly [name: string]: Cbor } | undefined {
  try {
    const value = decodeCbor(bytes);
    return isObject(value as Json) && !(value instanceof Uint8Array) ? (value as { [name: string]: Cbor }) : undefined;
  } catch (error) {
    if (error instanceof CborError) return undefined;
    throw error;
  }
}

function holdsBytes(value: Cbor): boolean {
  if (value instanceof Uint8Array) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(holdsBytes);
}
