// Values as they cross between this host and the module (crates/guest/src/wire.rs): tagged, little-endian.

export type Sql = null | number | string | ArrayBuffer;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const utf8 = (text: string): Uint8Array => encoder.encode(text);
export const text = (bytes: Uint8Array): string => decoder.decode(bytes);

/** The parameters of a statement. */
export function values(bytes: Uint8Array): Sql[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Sql[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = view.getUint8(at);
    at += 1;
    if (tag === 0) {
      found.push(null);
    } else if (tag === 1) {
      found.push(Number(view.getBigInt64(at, true)));
      at += 8;
    } else {
      const end = at + 4 + view.getUint32(at, true);
      const part = bytes.slice(at + 4, end);
      found.push(tag === 2 ? text(part) : part.buffer);
      at = end;
    }
  }
  return found;
}

/** An answer: how many columns, then its values row by row. */
export function rows(columns: number, answer: Iterable<Sql[]>): Uint8Array {
  const parts: Uint8Array[] = [uint(columns)];
  for (const row of answer) for (const value of row) parts.push(...tagged(value));
  return join(parts);
}

export function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function tagged(value: Sql): Uint8Array[] {
  if (value === null) return [Uint8Array.of(0)];
  if (typeof value === "number") {
    const bytes = new Uint8Array(9);
    bytes[0] = 1;
    new DataView(bytes.buffer).setBigInt64(1, BigInt(value), true);
    return [bytes];
  }
  const bytes = typeof value === "string" ? utf8(value) : new Uint8Array(value);
  return [Uint8Array.of(typeof value === "string" ? 2 : 3), uint(bytes.length), bytes];
}

function uint(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
