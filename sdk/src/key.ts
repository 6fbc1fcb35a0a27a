// Identity and sequencer keys: BIP-340 over secp256k1 (spec section 1).

import { schnorr } from "@noble/curves/secp256k1.js";
import { fromHex, parseHex, toHex } from "./bytes.js";

const ZERO_AUX = new Uint8Array(32);
const lifted = new Map<string, boolean>();
/** Keys remembered as valid or not; a bound, so that a stranger's keys do not fill the memory. */
const MAX_LIFTED = 10_000;

/** A private key with its public half in hex. */
export class Keypair {
  readonly pub: string;

  /** `priv` is 32 bytes, from 1 to the group order − 1; throws otherwise. */
  constructor(readonly priv: Uint8Array) {
    this.pub = toHex(schnorr.getPublicKey(priv));
  }

  static fromHex(priv: string): Keypair {
    return new Keypair(fromHex(priv));
  }

  /** A key from the system's random source. */
  static random(): Keypair {
    return new Keypair(schnorr.utils.randomSecretKey());
  }

  /** BIP-340 over 32 bytes as they stand, auxiliary randomness zero: the same input gives the same signature. Hex. */
  sign(message: Uint8Array): string {
    if (message.length !== 32) throw new RangeError("a signed message has 32 bytes");
    return toHex(schnorr.sign(message, this.priv, ZERO_AUX));
  }
}

/** Whether `sig` (hex, 64 bytes) by `pub` (hex, 32 bytes) holds over `message`. Never throws. */
export function verifySignature(pub: string, message: Uint8Array, sig: string): boolean {
  const key = parseHex(pub);
  const signature = parseHex(sig);
  if (key?.length !== 32 || signature?.length !== 64) return false;
  try {
    return schnorr.verify(signature, message, key);
  } catch {
    return false;
  }
}

/** Whether `pub` (hex) is the x coordinate of a point of the curve. */
export function isXOnly(pub: string): boolean {
  const known = lifted.get(pub);
  if (known !== undefined) return known;
  const bytes = parseHex(pub);
  let valid = bytes?.length === 32;
  if (bytes !== undefined && valid) {
    try {
      schnorr.utils.lift_x(BigInt("0x" + pub));
    } catch {
      valid = false;
    }
  }
  if (lifted.size >= MAX_LIFTED) lifted.clear();
  lifted.set(pub, valid);
  return valid;
}
