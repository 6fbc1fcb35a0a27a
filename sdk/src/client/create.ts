// Makes an enclave.

import { SKEW_MS, signManifest, type Tags } from "../commit.js";
import { isReceiptFor, parseReceipt, verifyReceipt } from "../event.js";
import { isObject, type Json, type JsonObject } from "../json.js";
import type { Keypair } from "../key.js";
import { toHex } from "../bytes.js";
import { Enclave, type Options } from "./enclave.js";
import { demand } from "./fault.js";
import { NodeLink } from "./node.js";

/** Signs a Manifest, has it sequenced by the node whose key it names, and opens what it makes. A nonce tells it from its equals. */
export async function createEnclave(url: string, content: Json, options: Options & { readonly key: Keypair }): Promise<Enclave> {
  const now = options.now?.() ?? Date.now();
  const nonce = toHex(crypto.getRandomValues(new Uint8Array(16)));
  const tags: Tags = [["nonce", nonce]];
  const commit = signManifest(options.key, content, now + SKEW_MS, tags);
  const receipt = parseReceipt(await new NodeLink(url, options.fetch).json("POST", "/", { ...commit } as unknown as JsonObject));
  const sequencer = isObject(content) ? content.sequencer : undefined;
  const holds = receipt !== undefined && isReceiptFor(receipt, commit) && receipt.seq === 0 && verifyReceipt(receipt, sequencer as string);
  demand(holds, "a receipt that is not for this Manifest");
  return Enclave.open(url, commit.enclave, options);
}
