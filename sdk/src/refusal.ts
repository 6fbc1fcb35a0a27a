// Refusals: the closed list of codes (spec section 9) and what may stand beside one.

import type { Json } from "./json.js";

/** Every code that a node answers, with its HTTP status. */
export const STATUS = {
  invalid_json: 400,
  invalid_route: 404,
  invalid_structure: 400,
  invalid_hash: 400,
  invalid_signature: 401,
  expired: 400,
  exp_too_far: 400,
  duplicate: 409,
  unauthorized: 403,
  invalid_session: 401,
  session_expired: 401,
  enclave_not_found: 404,
  enclave_exists: 409,
  enclave_paused: 403,
  enclave_terminated: 410,
  enclave_migrated: 410,
  read_only: 403,
  invalid_manifest: 400,
  rank_too_low: 403,
  gate_closed: 403,
  bad_state: 409,
  not_found: 404,
  not_bundled: 409,
  too_large: 413,
  unsupported_media_type: 415,
  limit_exceeded: 400,
  rate_limited: 429,
  overloaded: 503,
  clock_behind: 503,
  rolled_back: 503,
  internal: 500,
} as const;

export type Code = keyof typeof STATUS;

/** A request or commit that a rule refuses. `members` stand in the answer beside `error` and `message`. */
export class Refusal extends Error {
  constructor(
    readonly code: Code,
    readonly members: { readonly [name: string]: Json } = {},
  ) {
    super(code);
    this.name = "Refusal";
  }
}

/** Whether `text` is one of the codes. */
export function isCode(text: unknown): text is Code {
  return typeof text === "string" && Object.hasOwn(STATUS, text);
}
