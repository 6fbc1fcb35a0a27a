// The keys of this host. The module names them and never sees them.
import { ed25519 } from "@noble/curves/ed25519.js";
import { schnorr } from "@noble/curves/secp256k1.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { join, utf8 } from "./wire";

const ZERO_AUX = new Uint8Array(32);

export class Keys {
  readonly sequencer: string;
  readonly #secret: Uint8Array;

  constructor(secretHex: string) {
    this.#secret = hexToBytes(secretHex);
    this.sequencer = bytesToHex(schnorr.getPublicKey(this.#secret));
  }

  holds(key: Uint8Array): boolean {
    return bytesToHex(key) === this.sequencer;
  }

  /** BIP-340 with zero auxiliary randomness. */
  signSeq(hash: Uint8Array): Uint8Array {
    return schnorr.sign(hash, this.#secret, ZERO_AUX);
  }

  /** Public half and signature by the enclave's log key. */
  signLog(enclave: Uint8Array, note: Uint8Array): Uint8Array {
    const seed = hkdf(sha256, this.#secret, undefined, join([utf8("enc/log-key/v1"), enclave]), 32);
    return join([ed25519.getPublicKey(seed), ed25519.sign(note, seed)]);
  }

  mac(name: Uint8Array, bytes: Uint8Array): Uint8Array {
    const key = hkdf(sha256, this.#secret, undefined, join([utf8("enc/mac/v1"), name]), 32);
    return hmac(sha256, key, bytes);
  }
}
