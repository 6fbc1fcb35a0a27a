// The heads log (spec section 5): one log over all enclaves of a node.

import { be64, concat, fromHex, utf8 } from "./bytes.js";
import { sha256 } from "./hash.js";
import type { Head } from "./log.js";

/** The 72 bytes that stand for one closing of one enclave. */
export function encodeHead(enclave: string, head: Head): Uint8Array {
  return concat(sha256(utf8("enc:head:"), fromHex(enclave)), be64(head.tree_size), fromHex(head.root_hash));
}
