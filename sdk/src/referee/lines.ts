// `POST /commits`: many commits in one request, each answered when it has come (spec section 7).

import { concat, isHex } from "../bytes.js";
import { MAX_COMMIT_LEN } from "../commit.js";
import type { Receipt } from "../event.js";
import { isObject, jcs, parseJson, type Json } from "../json.js";
import { Refusal, type Code } from "../refusal.js";
import { errorBody } from "./exchange.js";

const MAX_LINES = 10_000;
const MAX_FAILED = 100;
const MAX_LEN = 64 << 20;
/** Codes of steps 1 to 4: what costs work and proves no author. */
const EARLY: readonly Code[] = [
  "invalid_json", "invalid_structure", "too_large", "expired", "exp_too_far", "clock_behind", "invalid_hash", "invalid_signature", "enclave_not_found",
];

/** Takes a body piece by piece and gives the lines that answer it. */
export class Lines {
  private rest: Uint8Array = new Uint8Array(0);
  private count = 0;
  private failed = 0;
  private len = 0;
  private over = false;

  constructor(private readonly commit: (value: Json) => Receipt) {}

  /** Whether nothing more is read. */
  get ended(): boolean {
    return this.over;
  }

  /** The answers to the lines that `piece` ends. */
  take(piece: Uint8Array): string {
    let out = "";
    this.len += piece.length;
    let pending = concat(this.rest, piece);
    for (let end = pending.indexOf(0x0a); end >= 0 && !this.over; end = pending.indexOf(0x0a)) {
      out += this.line(pending.subarray(0, end));
      pending = pending.subarray(end + 1);
    }
    this.rest = pending.slice();
    if (!this.over && this.rest.length > MAX_COMMIT_LEN) out += this.stop(new Refusal("too_large", { limit: MAX_COMMIT_LEN }));
    if (!this.over && this.len > MAX_LEN) out += this.stop(new Refusal("too_large", { limit: MAX_LEN }));
    return out;
  }

  /** The answer to a last line without an end. */
  finish(): string {
    return this.over ? "" : this.line(this.rest);
  }

  private line(line: Uint8Array): string {
    if (line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)) return "";
    if (this.count >= MAX_LINES) return this.stop(new Refusal("limit_exceeded", { limit: MAX_LINES }));
    this.count++;
    const { text, early } = this.answer(line);
    if (early) this.failed++;
    return text + "\n" + (this.failed >= MAX_FAILED ? this.stop(new Refusal("limit_exceeded", { limit: MAX_FAILED })) : "");
  }

  private stop(refusal: Refusal): string {
    this.over = true;
    return jcs(errorBody(refusal)) + "\n";
  }

  private answer(line: Uint8Array): { text: string; early: boolean } {
    let value: Json = null;
    try {
      if (line.length > MAX_COMMIT_LEN) throw new Refusal("too_large", { limit: MAX_COMMIT_LEN });
      value = parseJson(line);
      return { text: jcs(this.commit(value)), early: false };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const hash = isObject(value) && isHex(value.hash, 32) ? { hash: value.hash } : {};
      return { text: jcs({ ...errorBody(error), ...hash }), early: EARLY.includes(error.code) };
    }
  }
}
