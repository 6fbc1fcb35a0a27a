// Sessions (spec section 6): one signature, in two forms.

import { schnorr, secp256k1 } from "@noble/curves/secp256k1.js";
import { be256, be32, bigOf, concat, fromHex, isHex, toHex, utf8 } from "./bytes.js";
import { sha256 } from "./hash.js";
import { verifySignature, type Keypair } from "./key.js";
import { Refusal } from "./refusal.js";

const { Point } = secp256k1;
const ORDER = Point.Fn.ORDER;
/** The farthest a session may end after now, and the skew that is forgiven; seconds. */
const MAX_AHEAD_S = 7260;
const SKEW_S = 60;

export interface Session {
  /** `r ‖ s ‖ expires`, 136 hex digits: a bearer token for one node. */
  readonly plain: string;
  /** `r ‖ session_pub ‖ expires`: valid only where the AEAD opens. */
  readonly encrypted: string;
  /** The private half of `encrypted`, 32 bytes. */
  readonly priv: Uint8Array;
  readonly pub: string;
  /** Seconds since the epoch. */
  readonly expires: number;
}

/** What is signed: 32 bytes. */
export function sessionMessage(expires: number, sequencer: string): Uint8Array {
  return sha256(utf8("enc:session:"), be32(expires), fromHex(sequencer));
}

/** Signs a session for the node of `sequencer`, which comes from a verified Manifest, never from the node's word. */
export function openSession(key: Keypair, sequencer: string, expires: number): Session {
  const sig = fromHex(key.sign(sessionMessage(expires, sequencer)));
  const s = bigOf(sig.subarray(32));
  const point = Point.BASE.multiply(s).toAffine();
  const pub = be256(point.x);
  const ends = be32(expires);
  return {
    plain: toHex(concat(sig, ends)),
    encrypted: toHex(concat(sig.subarray(0, 32), pub, ends)),
    priv: be256(point.y % 2n === 0n ? s : ORDER - s),
    pub: toHex(pub),
    expires,
  };
}

/**
 * Judges a token of a plain request. `now` in milliseconds; `verified` says that the signature of this token held before. Throws
 * `invalid_session`, then `session_expired`.
 */
export function checkPlainSession(token: string, from: string, sequencer: string, now: number, verified: boolean = false): void {
  const expires = endOf(token, from, now);
  if (!verified && !verifySignature(from, sessionMessage(expires, sequencer), token.slice(0, 128))) throw new Refusal("invalid_session");
  refuseExpired(expires, now);
}

/** Judges a token of an encrypted request, which proves nothing until the AEAD has opened. Returns `session_pub`. */
export function checkEncryptedSession(token: string, from: string, sequencer: string, now: number): string {
  const expires = endOf(token, from, now);
  const r = token.slice(0, 64);
  const pub = token.slice(64, 128);
  if (expectedSessionPub(r, from, expires, sequencer) !== pub) throw new Refusal("invalid_session");
  refuseExpired(expires, now);
  return pub;
}

/** When a well-formed token ends, in seconds. */
export function sessionEnd(token: string): number {
  return parseInt(token.slice(128), 16);
}

function endOf(token: string, from: string, now: number): number {
  if (!isHex(token, 68) || !isHex(from, 32)) throw new Refusal("invalid_session");
  const expires = sessionEnd(token);
  if (expires * 1000 > now + MAX_AHEAD_S * 1000) throw new Refusal("invalid_session");
  return expires;
}

function refuseExpired(expires: number, now: number): void {
  if (expires * 1000 < now - SKEW_S * 1000) throw new Refusal("session_expired");
}

/** `x(R + e·P)`; undefined where a point does not lift or the sum is the point at infinity. */
function expectedSessionPub(r: string, from: string, expires: number, sequencer: string): string | undefined {
  try {
    const R = schnorr.utils.lift_x(BigInt("0x" + r));
    const P = schnorr.utils.lift_x(BigInt("0x" + from));
    const challenge = schnorr.utils.taggedHash("BIP0340/challenge", fromHex(r), fromHex(from), sessionMessage(expires, sequencer));
    const e = bigOf(challenge) % ORDER;
    const sum = R.add(e === 0n ? Point.ZERO : P.multiply(e));
    return sum.is0() ? undefined : toHex(be256(sum.toAffine().x));
  } catch {
    return undefined;
  }
}
