// Deterministic CBOR (RFC 8949 section 4.2.1), as far as hashes and snapshots need it.

import { concat, equalBytes, utf8 } from "./bytes.js";

/** A number is a whole one within ±(2^53 − 1); a plain object is a map with text keys. */
export type Cbor = number | Uint8Array | string | boolean | null | readonly Cbor[] | { readonly [name: string]: Cbor };

/** What is no deterministic CBOR of the kinds above. */
export class CborError extends Error {}

export function encodeCbor(value: Cbor): Uint8Array {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") {
    const text = utf8(value);
    return concat(head(3, text.length), text);
  }
  if (value instanceof Uint8Array) return concat(head(2, value.length), value);
  if (Array.isArray(value)) return concat(head(4, value.length), ...value.map(encodeCbor));
  const members = Object.entries(value).map(([name, inner]) => [encodeCbor(name), encodeCbor(inner)] as const);
  members.sort(([a], [b]) => compareBytes(a, b));
  return concat(head(5, members.length), ...members.flat());
}

/** Decodes one item that fills `bytes`. Throws `CborError` where they are not what `encodeCbor` writes. */
export function decodeCbor(bytes: Uint8Array): Cbor {
  const decoder = new Decoder(bytes);
  const value = decoder.item(0);
  // Encoding anew and comparing is the shortest complete check of every rule of the deterministic form.
  if (!decoder.atEnd() || !equalBytes(encodeCbor(value), bytes)) throw new CborError("not deterministic CBOR");
  return value;
}

function head(major: number, value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new CborError("not a whole number within 2^53 - 1");
  const type = major << 5;
  if (value < 24) return Uint8Array.of(type | value);
  const out = new Uint8Array(value < 0x100 ? 2 : value < 0x10000 ? 3 : value < 0x100000000 ? 5 : 9);
  const view = new DataView(out.buffer);
  if (out.length === 2) view.setUint8(1, value);
  else if (out.length === 3) view.setUint16(1, value);
  else if (out.length === 5) view.setUint32(1, value);
  else view.setBigUint64(1, BigInt(value));
  out[0] = type | { 2: 24, 3: 25, 5: 26, 9: 27 }[out.length as 2 | 3 | 5 | 9];
  return out;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Nesting beyond this is no snapshot: JSON stops at 64, and a snapshot puts a few maps around it. */
const MAX_DEPTH = 80;

class Decoder {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  atEnd(): boolean {
    return this.at === this.bytes.length;
  }

  item(depth: number): Cbor {
    if (depth > MAX_DEPTH) throw new CborError("nested too deep");
    const initial = this.take(1)[0] as number;
    if (initial === 0xf4) return false;
    if (initial === 0xf5) return true;
    if (initial === 0xf6) return null;
    const value = this.argument(initial & 31);
    switch (initial >> 5) {
      case 0:
        return value;
      case 1:
        return -1 - value;
      case 2:
        return this.take(value).slice();
      case 3:
        return this.text(value);
      case 4:
        return this.array(value, depth);
      case 5:
        return this.map(value, depth);
      default:
        throw new CborError("a kind that is not used");
    }
  }

  private text(len: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(len));
    } catch {
      throw new CborError("not UTF-8");
    }
  }

  private array(count: number, depth: number): Cbor[] {
    const items: Cbor[] = [];
    for (let i = 0; i < count; i++) items.push(this.item(depth + 1));
    return items;
  }

  private map(count: number, depth: number): { [name: string]: Cbor } {
    const members = Object.create(null) as { [name: string]: Cbor };
    for (let i = 0; i < count; i++) {
      const name = this.item(depth + 1);
      if (typeof name !== "string" || name in members) throw new CborError("a key that is no text or stands twice");
      members[name] = this.item(depth + 1);
    }
    return members;
  }

  private argument(low: number): number {
    if (low < 24) return low;
    if (low > 27) throw new CborError("an indefinite or reserved length");
    const start = this.at;
    this.take(1 << (low - 24));
    if (low === 24) return this.view.getUint8(start);
    if (low === 25) return this.view.getUint16(start);
    if (low === 26) return this.view.getUint32(start);
    const big = this.view.getBigUint64(start);
    if (big > BigInt(Number.MAX_SAFE_INTEGER)) throw new CborError("a number beyond 2^53 - 1");
    return Number(big);
  }

  private take(len: number): Uint8Array {
    if (len > this.bytes.length - this.at) throw new CborError("cut short");
    this.at += len;
    return this.bytes.subarray(this.at - len, this.at);
  }
}
