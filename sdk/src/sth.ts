// Signed tree heads (spec section 5).

import { be64, concat, fromHex, isHex, utf8 } from "./bytes.js";
import { sha256 } from "./hash.js";
import { isCount, isObject, type Json } from "./json.js";
import { verifySignature, type Keypair } from "./key.js";

export interface Sth {
  readonly enclave: string;
  readonly timestamp: number;
  readonly tree_size: number;
  readonly root_hash: string;
  readonly sequencer: string;
  readonly signature: string;
}

type Unsigned = Omit<Sth, "signature" | "sequencer">;

/** What is signed: 32 bytes. */
export function sthMessage(head: Unsigned): Uint8Array {
  const { enclave, timestamp, tree_size, root_hash } = head;
  return sha256(concat(utf8("enc:sth:"), fromHex(enclave), be64(timestamp), be64(tree_size), fromHex(root_hash)));
}

export function signSth(key: Keypair, head: Unsigned): Sth {
  const { enclave, timestamp, tree_size, root_hash } = head;
  return { enclave, timestamp, tree_size, root_hash, sequencer: key.pub, signature: key.sign(sthMessage(head)) };
}

/** The STH of exactly the members above, or undefined. */
export function parseSth(value: Json | undefined): Sth | undefined {
  if (!isObject(value) || Object.keys(value).length !== 6) return undefined;
  const { enclave, timestamp, tree_size, root_hash, sequencer, signature } = value;
  const sound =
    isHex(enclave, 32) && isHex(root_hash, 32) && isHex(sequencer, 32) && isHex(signature, 64) &&
    isCount(timestamp) && isCount(tree_size);
  return sound ? { enclave, timestamp, tree_size, root_hash, sequencer, signature } : undefined;
}

/** Whether `sth` is the word of `sequencer`. */
export function verifySth(sth: Sth, sequencer: string): boolean {
  return sth.sequencer === sequencer && verifySignature(sequencer, sthMessage(sth), sth.signature);
}
