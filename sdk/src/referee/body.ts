// Reading the body of a request.

import { isHex } from "../bytes.js";
import { misshapen } from "../commit.js";
import { isObject, parseJson, type JsonObject } from "../json.js";
import { Refusal } from "../refusal.js";

/** The JSON object in `raw`. */
export function bodyOf(raw: Uint8Array, limit: number): JsonObject {
  if (raw.length > limit) throw new Refusal("too_large", { limit });
  const body = parseJson(raw);
  if (!isObject(body)) throw new Refusal("invalid_structure");
  return body;
}

/** The enclave that a body or query names, which is the path's where both name one. */
export function enclaveOf(body: JsonObject, named: string | undefined): string {
  const { enclave } = body;
  if (enclave === undefined && named !== undefined) return named;
  if (!isHex(enclave, 32) || (named !== undefined && named !== enclave)) misshapen("enclave");
  return enclave;
}
