// JSON in: the strict reader of spec section 1, judged on the received bytes. JSON out: RFC 8785.

import { utf8 } from "./bytes.js";
import { Refusal } from "./refusal.js";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Deepest nesting of any text; `[]` counts one. */
export const MAX_DEPTH = 64;
/** Deepest nesting of a commit, so that it still fits into what carries it. */
export const MAX_COMMIT_DEPTH = 56;

/**
 * Reads one JSON text. `invalid_json` where it is not RFC 8259 JSON in UTF-8; `invalid_structure` where it is and breaks a
 * rule of section 1. Objects have no prototype, so that a member called `__proto__` is a member like any other.
 */
export function parseJson(input: Uint8Array | string, maxDepth: number = MAX_DEPTH): Json {
  return new Reader(typeof input === "string" ? input : decodeUtf8(input), maxDepth).text();
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** A whole number from 0 to 2^53 − 1. */
export function isCount(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** How deep `value` nests; a scalar counts 0. */
export function depthOf(value: Json): number {
  if (typeof value !== "object" || value === null) return 0;
  let deepest = 0;
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner));
  return deepest + 1;
}

/** The RFC 8785 form. Members whose value is undefined are left out. */
export function jcs(value: unknown): string {
  if (Array.isArray(value)) return "[" + value.map(jcs).join(",") + "]";
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
    // Comparing strings with < is comparing UTF-16 code units, the order that RFC 8785 asks for.
    members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return "{" + members.map(([name, inner]) => JSON.stringify(name) + ":" + jcs(inner)).join(",") + "}";
  }
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError("not a JSON value");
  return text;
}

/** UTF-8 of the RFC 8785 form. */
export function jcsBytes(value: unknown): Uint8Array {
  return utf8(jcs(value));
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // ignoreBOM keeps a byte order mark in the text, where the reader then refuses it.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refusal("invalid_json");
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WHOLE = /^(?:0|-?[1-9][0-9]*)$/;
// RFC 8259 allows everything from U+0020 but the quote and the backslash.
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const ESCAPES: { readonly [letter: string]: string } = {
  '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
};

class Reader {
  private at = 0;
  /** A rule of section 1 is broken; whether the text is JSON at all is known at its end. */
  private broken = false;

  constructor(
    private readonly source: string,
    private readonly maxDepth: number,
  ) {}

  text(): Json {
    this.space();
    const value = this.value(1);
    this.space();
    if (this.at !== this.source.length) throw new Refusal("invalid_json");
    if (this.broken) throw new Refusal("invalid_structure");
    return value;
  }

  private value(depth: number): Json {
    switch (this.source[this.at]) {
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonObject {
    if (depth > this.maxDepth) throw new Refusal("invalid_structure");
    const members = Object.create(null) as { [name: string]: Json };
    this.at++;
    this.space();
    if (this.took("}")) return members;
    for (;;) {
      if (this.source[this.at] !== '"') throw new Refusal("invalid_json");
      const name = this.string();
      this.space();
      this.expect(":");
      this.space();
      const value = this.value(depth + 1);
      if (name in members) this.broken = true;
      members[name] = value;
      this.space();
      if (this.took("}")) return members;
      this.expect(",");
      this.space();
    }
  }

  private array(depth: number): Json[] {
    if (depth > this.maxDepth) throw new Refusal("invalid_structure");
    const items: Json[] = [];
    this.at++;
    this.space();
    if (this.took("]")) return items;
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      if (this.took("]")) return items;
      this.expect(",");
      this.space();
    }
  }

  private string(): string {
    this.at++;
    let text = "";
    for (;;) {
      PLAIN.lastIndex = this.at;
      const run = PLAIN.exec(this.source)?.[0] ?? "";
      text += run;
      this.at += run.length;
      if (this.took('"')) break;
      if (!this.took("\\")) throw new Refusal("invalid_json");
      text += this.escape();
    }
    if (text.includes("\0") || LONE_SURROGATE.test(text)) this.broken = true;
    return text;
  }

  private escape(): string {
    const letter = this.source[this.at++] ?? "";
    if (letter !== "u") {
      const char = ESCAPES[letter];
      if (char === undefined || letter.length !== 1) throw new Refusal("invalid_json");
      return char;
    }
    const digits = this.source.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new Refusal("invalid_json");
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    const token = NUMBER.exec(this.source)?.[0];
    if (token === undefined) throw new Refusal("invalid_json");
    this.at += token.length;
    const value = Number(token);
    if (!WHOLE.test(token) || !Number.isSafeInteger(value)) this.broken = true;
    return value;
  }

  private word<T>(word: string, value: T): T {
    if (!this.source.startsWith(word, this.at)) throw new Refusal("invalid_json");
    this.at += word.length;
    return value;
  }

  private space(): void {
    while (" \t\n\r".includes(this.source[this.at] ?? "x")) this.at++;
  }

  private took(char: string): boolean {
    if (this.source[this.at] !== char) return false;
    this.at++;
    return true;
  }

  private expect(char: string): void {
    if (!this.took(char)) throw new Refusal("invalid_json");
  }
}
