// C2SP tlog-tiles over a log.

import { concat } from "./bytes.js";
import type { Log } from "./log.js";

const WIDTH = 256;

/** Which tile a path names: `tile/<level>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`. */
export interface TilePath {
  readonly level: number | "entries";
  readonly index: number;
  readonly width: number;
}

/** `N` in groups of three digits. */
export function formatTileIndex(index: number): string {
  const groups = [String(index % 1000).padStart(3, "0")];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift("x" + String(rest % 1000).padStart(3, "0"));
  }
  return groups.join("/");
}

/** Reads a path in its one spelling; undefined otherwise. */
export function parseTilePath(path: string): TilePath | undefined {
  const [, level, n, w] = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path) ?? [];
  if (level === undefined || n === undefined) return undefined;
  const index = Number(n.replaceAll(/[x/]/g, ""));
  const width = w === undefined ? WIDTH : Number(w);
  const sound = Number.isSafeInteger(index) && formatTileIndex(index) === n && (w === undefined || width < WIDTH);
  return sound && !(Number(level) > 63) ? { level: level === "entries" ? level : Number(level), index, width } : undefined;
}

/** The bytes of a tile; undefined where `size` leaves of the log do not fill it. `entry` gives the bytes of a leaf. */
export function tile(log: Log, size: number, path: TilePath, entry: (index: number) => Uint8Array): Uint8Array | undefined {
  const level = path.level === "entries" ? 0 : path.level;
  const filled = Math.floor(size / WIDTH ** level) - path.index * WIDTH;
  if (filled < path.width) return undefined;
  const first = path.index * WIDTH;
  const slots = Array.from({ length: path.width }, (_, i) => first + i);
  if (path.level !== "entries") return concat(...slots.map((slot) => log.range(slot * WIDTH ** level, WIDTH ** level)));
  return concat(...slots.flatMap((slot) => withLength(entry(slot))));
}

function withLength(entry: Uint8Array): Uint8Array[] {
  return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
}
