// The repository's vectors. JSON.parse reads them, for some cases hold what the strict reader refuses.

import { readFileSync } from "node:fs";

/** One case; `input` and `expected` are shaped by its group. */
export interface Case {
  readonly name: string;
  // Vectors are data of some fifty shapes, each known to the one judge that reads it.
  readonly input: any;
  readonly expected: any;
}

/** The repository's root, as seen from the compiled test. */
export const ROOT = new URL("../../../", import.meta.url);

const files = ["enc-vectors.json", "generated.json"].map(
  (name) => JSON.parse(readFileSync(new URL("vectors/" + name, ROOT), "utf8")) as { groups: { [group: string]: readonly Case[] } },
);

/** All groups' names. */
export const groups: readonly string[] = [...new Set(files.flatMap((file) => Object.keys(file.groups)))];

/** The cases of a group from both files. */
export function cases(group: string): readonly Case[] {
  return files.flatMap((file) => file.groups[group] ?? []);
}

/** The case that a reference like `enclave/group` names. */
export function referred(of: string): Case {
  const [group, name] = of.split("/");
  const found = cases(group as string).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no vector ${of}`);
  return found;
}
