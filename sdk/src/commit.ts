// Commits (spec section 2): what a client signs.

import { fromHex, isHex, toHex, utf8 } from "./bytes.js";
import { contentHash, H, Prefix } from "./hash.js";
import { depthOf, isArray, isCount, isObject, parseJson, MAX_COMMIT_DEPTH, type Json, type JsonObject } from "./json.js";
import { verifySignature, type Keypair } from "./key.js";
import { Refusal } from "./refusal.js";

export type Tags = readonly (readonly string[])[];

/** A commit of the right shape. Nothing is said of its hash or signature: `verifyCommit` looks at those. */
export interface Commit {
  readonly hash: string;
  readonly enclave: string;
  readonly from: string;
  readonly type: string;
  readonly content: Json;
  readonly exp: number;
  readonly tags: Tags;
  readonly sig: string;
}

/** The only algorithm there is. */
export const ALG = "schnorr";
/** A commit's JSON as received, in bytes. */
export const MAX_COMMIT_LEN = 1 << 20;
/** Clock skew that is forgiven, and the longest that an expiry may lie ahead; milliseconds. */
export const SKEW_MS = 60_000;
export const MAX_EXP_MS = 3_600_000;

const MAX_TAGS = 256;
const MAX_TAG_STRINGS = 16;
const MAX_TAG_LEN = 1024;
const MAX_TAGS_LEN = 16 * 1024;
const TYPE = /^[A-Za-z0-9_.-]{1,64}$/;

/** Step 1 on received bytes: `invalid_json`, `invalid_structure`, `too_large`. */
export function parseCommit(text: Uint8Array | string): Commit {
  if ((typeof text === "string" ? utf8(text) : text).length > MAX_COMMIT_LEN) throw new Refusal("too_large", { limit: MAX_COMMIT_LEN });
  return commitOf(parseJson(text));
}

/** Step 1 on a value that the strict reader made. */
export function commitOf(value: Json): Commit {
  if (!isObject(value) || depthOf(value) > MAX_COMMIT_DEPTH) throw new Refusal("invalid_structure");
  refuseOthers(value, ["hash", "enclave", "from", "type", "content", "exp", "tags", "alg", "sig"]);
  const { hash, enclave, from, type, content, exp, sig, alg } = value;
  if (!isHex(hash, 32)) misshapen("hash");
  if (!isHex(enclave, 32)) misshapen("enclave");
  if (!isHex(from, 32)) misshapen("from");
  if (!isEventType(type)) misshapen("type");
  if (content === undefined) misshapen("content");
  if (!isCount(exp)) misshapen("exp");
  if (alg !== undefined && alg !== ALG) misshapen("alg");
  if (!isHex(sig, 64)) misshapen("sig");
  return { hash, enclave, from, type, content, exp, tags: tagsOf(value.tags), sig };
}

/** A member of the wrong shape. */
export function misshapen(field: string): never {
  throw new Refusal("invalid_structure", { field });
}

/** Whether `value` may name an event. */
export function isEventType(value: Json | undefined): value is string {
  return typeof value === "string" && TYPE.test(value);
}

/** The rows of `tags`; left out means none. `invalid_structure` beyond the limits. */
export function tagsOf(value: Json | undefined): Tags {
  if (value === undefined) return [];
  if (!isArray(value) || value.length > MAX_TAGS) misshapen("tags");
  let total = 0;
  for (const row of value) {
    if (!isArray(row) || row.length < 1 || row.length > MAX_TAG_STRINGS) misshapen("tags");
    for (const text of row) {
      const len = typeof text === "string" ? utf8(text).length : MAX_TAG_LEN + 1;
      total += len;
      if (len > MAX_TAG_LEN || total > MAX_TAGS_LEN) misshapen("tags");
    }
  }
  return value as Tags;
}

/** What the commit hash covers, with the content by its hash. */
export interface Unsigned {
  readonly enclave: string;
  readonly from: string;
  readonly type: string;
  readonly exp: number;
  readonly tags: Tags;
}

/** `H(0x10, …)` in hex. */
export function commitHash(commit: Unsigned, hashOfContent: string): string {
  const { enclave, from, type, exp, tags } = commit;
  return toHex(H(Prefix.commit, fromHex(enclave), fromHex(from), type, fromHex(hashOfContent), exp, tags));
}

/** `H(0x12, …)` in hex: the id of the enclave that this Manifest makes. */
export function enclaveId(from: string, hashOfContent: string, tags: Tags): string {
  return toHex(H(Prefix.enclave, fromHex(from), "Manifest", fromHex(hashOfContent), tags));
}

/** Steps 3 and 4: `invalid_hash`, `invalid_signature`. `verified` says that this signature over this hash held before. */
export function verifyCommit(commit: Commit, verified: boolean = false): void {
  if (commitHash(commit, contentHash(commit.content)) !== commit.hash) throw new Refusal("invalid_hash");
  if (!verified && !verifySignature(commit.from, fromHex(commit.hash), commit.sig)) throw new Refusal("invalid_signature");
}

/** A signed commit. `exp` is in milliseconds; keep it short, for a refused commit can be sent again until then. */
export function signCommit(
  key: Keypair,
  draft: { readonly enclave: string; readonly type: string; readonly content: Json; readonly exp: number; readonly tags?: Tags },
): Commit {
  const commit = { ...draft, from: key.pub, tags: draft.tags ?? [] };
  const hash = commitHash(commit, contentHash(commit.content));
  return { ...commit, hash, sig: key.sign(fromHex(hash)) };
}

/** A signed Manifest commit; its `enclave` is the id that follows from it. */
export function signManifest(key: Keypair, content: Json, exp: number, tags: Tags = []): Commit {
  return signCommit(key, { enclave: enclaveId(key.pub, contentHash(content), tags), type: "Manifest", content, exp, tags });
}

/** `invalid_structure` where `value` has a member that is not listed. */
export function refuseOthers(value: JsonObject, names: readonly string[]): void {
  for (const name of Object.keys(value)) if (!names.includes(name)) throw new Refusal("invalid_structure");
}
