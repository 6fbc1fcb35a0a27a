// What the package is made of.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parseJson } from "../src/json.js";
import { SENTENCES } from "../src/sentences.js";
import { ROOT } from "./vectors.js";

const SOURCE = new URL("sdk/src/", ROOT);
const ENTRIES = ["index.ts", "kernel/index.ts", "referee/index.ts"];

/** Every module that `entry` reaches, and the packages that these import. */
function graph(entry: string): { modules: Set<string>; packages: Set<string> } {
  const modules = new Set<string>();
  const packages = new Set<string>();
  const visit = (url: URL): void => {
    if (modules.has(url.href)) return;
    modules.add(url.href);
    for (const [, from] of readFileSync(url, "utf8").matchAll(/^(?:import|export) [^"]*?from "([^"]+)";$/gm)) {
      if (from!.startsWith(".")) visit(new URL(from!.replace(/\.js$/, ".ts"), url));
      else packages.add(from!);
    }
  };
  visit(new URL(entry, SOURCE));
  return { modules, packages };
}

for (const entry of ENTRIES) {
  test(`${entry} imports nothing but @noble, and no WebAssembly`, () => {
    const { modules, packages } = graph(entry);
    assert.ok(modules.size > 5);
    assert.deepEqual([...packages].filter((name) => !name.startsWith("@noble/")), []);
    for (const url of modules) {
      const text = readFileSync(new URL(url), "utf8");
      assert.ok(!/\bcrypto\.subtle\b|\bWebAssembly\b|\.wasm\b|\brequire\(/.test(text), url);
    }
  });
}

test("files are at most 300 lines", () => {
  const long = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .filter((name) => readFileSync(new URL(name, SOURCE), "utf8").split("\n").length > 301);
  assert.deepEqual(long, []);
});

test("the sentences are those of errors.json", () => {
  const listed = parseJson(readFileSync(new URL("vectors/errors.json", ROOT))) as unknown as { [code: string]: { message: string } };
  for (const [code, sentence] of Object.entries(SENTENCES)) assert.equal(sentence, listed[code]?.message, code);
});
