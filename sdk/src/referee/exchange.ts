// What the referee takes and gives, whatever carries it.

import { utf8 } from "../bytes.js";
import { jcs, type Json } from "../json.js";
import { Refusal, STATUS } from "../refusal.js";
import { SENTENCES } from "../sentences.js";

export interface Request {
  readonly method: string;
  /** Without the query string. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name. */
  readonly headers: { readonly [name: string]: string | undefined };
  readonly body: Uint8Array;
  /** Whether the peer is this machine. */
  readonly loopback: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: Uint8Array;
}

/** CORS: any origin, for there are no cookies. */
export const CORS = { "access-control-allow-origin": "*", "access-control-expose-headers": "Retry-After, Allow" };

export function json(value: unknown, status: number = 200, headers: { readonly [name: string]: string } = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers, ...CORS }, body: utf8(jcs(value)) };
}

export function bytes(type: string, body: Uint8Array, headers: { readonly [name: string]: string }): Answer {
  return { status: 200, headers: { "content-type": type, ...headers, ...CORS }, body };
}

/** The members of an error answer. */
export function errorBody(refusal: Refusal): { readonly [name: string]: Json } {
  return { ...refusal.members, error: refusal.code, message: SENTENCES[refusal.code] };
}

/** The answer to a refused request. */
export function refused(refusal: Refusal): Answer {
  return json(errorBody(refusal), STATUS[refusal.code]);
}

/** An answer that no page of another origin may read. */
export function withoutCors({ status, headers, body }: Answer): Answer {
  const kept = Object.entries(headers).filter(([name]) => !name.startsWith("access-control-"));
  return { status, headers: Object.fromEntries(kept), body };
}
