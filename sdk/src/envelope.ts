// The encrypted transport (spec section 6): a request sealed to the sequencer's key, and its answer.

import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { schnorr, secp256k1 } from "@noble/curves/secp256k1.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { be256, bigOf, concat, fromHex, utf8 } from "./bytes.js";
import { sha256 } from "./hash.js";

const { Point } = secp256k1;
const ORDER = Point.Fn.ORDER;

/** Both directions' keys of one (session, sequencer, enclave). */
export interface EnvelopeKeys {
  readonly query: Uint8Array;
  readonly response: Uint8Array;
}

/** Most plaintext of a request, in bytes. */
export const MAX_PLAINTEXT_LEN = 1 << 20;

/** The client's side: `sessionPriv` is `Session.priv`. */
export function clientKeys(sessionPriv: Uint8Array, sessionPub: string, sequencer: string, enclave: string): EnvelopeKeys {
  const scalar = (bigOf(sessionPriv) + tweak(sessionPub, sequencer, enclave)) % ORDER;
  return keysOf(xOf(lift(sequencer), scalar), sessionPub, sequencer, enclave);
}

/** The node's side, by its sequencer key. Throws where `sessionPub` is no point. */
export function nodeKeys(sequencerPriv: Uint8Array, sessionPub: string, sequencer: string, enclave: string): EnvelopeKeys {
  const point = lift(sessionPub).add(Point.BASE.multiply(tweak(sessionPub, sequencer, enclave)));
  return keysOf(xOf(point, bigOf(sequencerPriv)), sessionPub, sequencer, enclave);
}

/** Associated data of a request; `token` is the encrypted form, in hex. */
export function queryAd(enclave: string, from: string, token: string): Uint8Array {
  return concat(utf8("enc:query"), fromHex(enclave), fromHex(from), fromHex(token));
}

/** Associated data of an answer: bound to the request's nonce, so that it opens for no other request. */
export function responseAd(requestNonce: Uint8Array): Uint8Array {
  return concat(utf8("enc:response"), requestNonce);
}

/** XChaCha20-Poly1305; `nonce` is 24 random bytes, used once. */
export function sealBytes(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return xchacha20poly1305(key, nonce, ad).encrypt(plaintext);
}

/** The plaintext, or undefined where anything was changed. */
export function openBytes(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
  try {
    return xchacha20poly1305(key, nonce, ad).decrypt(ciphertext);
  } catch {
    return undefined;
  }
}

/** `w` as a scalar. */
function tweak(sessionPub: string, sequencer: string, enclave: string): bigint {
  return bigOf(sha256(fromHex(sessionPub), fromHex(sequencer), fromHex(enclave))) % ORDER;
}

function lift(pub: string): InstanceType<typeof Point> {
  return schnorr.utils.lift_x(BigInt("0x" + pub));
}

function xOf(point: InstanceType<typeof Point>, scalar: bigint): Uint8Array {
  return be256(point.multiply(scalar).toAffine().x);
}

function keysOf(ikm: Uint8Array, sessionPub: string, sequencer: string, enclave: string): EnvelopeKeys {
  const salt = concat(fromHex(sessionPub), fromHex(sequencer), fromHex(enclave));
  return {
    query: hkdf(nobleSha256, ikm, salt, utf8("enc:query"), 32),
    response: hkdf(nobleSha256, ikm, salt, utf8("enc:response"), 32),
  };
}
