// The rules of a Manifest that need more than one row (spec section 4.1).

import type { Json } from "../json.js";
import type { Manifest, OpsRow } from "./manifest.js";
import { denies, fault, readManifest } from "./manifest-shape.js";

/** Reads and checks the content of a Manifest that `signer` signed. Throws `invalid_manifest` with a path. */
export function parseManifest(content: Json, signer: string): Manifest {
  const manifest = readManifest(content);
  checkAliases(manifest);
  checkOwnerRank(manifest);
  checkInit(manifest, signer);
  checkStates(manifest);
  checkDenies(manifest);
  manifest.transfers.forEach((row, i) => {
    if (manifest.restrictive.has(row.trait)) fault(`RBAC.transfers[${i}].trait`);
  });
  return manifest;
}

function checkAliases(manifest: Manifest): void {
  const seen = new Set<string>();
  for (const [section, rows] of [["moves", manifest.moves], ["customs", manifest.customs]] as const) {
    rows.forEach((row: OpsRow, i: number) => {
      if (row.alias === undefined) return;
      if (seen.has(row.alias)) fault(`RBAC.${section}[${i}].alias`);
      seen.add(row.alias);
    });
  }
}

function checkOwnerRank({ traits }: Manifest): void {
  const at = traits.findIndex(({ name }) => name === "owner");
  const owner = traits[at];
  if (owner !== undefined && traits.some(({ rank }) => rank < owner.rank)) fault(`RBAC.traits[${at}]`);
}

function checkInit({ init }: Manifest, signer: string): void {
  const seen = new Set<string>();
  init.forEach(({ identity }, i) => {
    if (seen.has(identity)) fault(`RBAC.init[${i}].identity`);
    seen.add(identity);
  });
  if (!seen.has(signer)) fault("RBAC.init");
}

/** Every State is reached by `init` or a Move with C; one that a Move reaches is left by one too. */
function checkStates({ states, moves, init }: Manifest): void {
  const open = moves.filter((row) => row.ops.includes("C"));
  states.forEach((state, i) => {
    const moved = open.some(({ to }) => to === state);
    const reached = moved || init.some((row) => row.state === state);
    if (!reached || (moved && !open.some(({ from }) => from === state))) fault(`RBAC.states[${i}]`);
  });
}

/** A trait with powers, and `owner`, is never the column of a deny. */
function checkDenies(manifest: Manifest): void {
  const opening = [...manifest.moves, ...manifest.lifecycle].filter((row) => row.ops.includes("C"));
  const gates = [...manifest.moves, ...manifest.customs].flatMap((row) => row.gate?.operator ?? []);
  const powerful = new Set([
    "owner",
    ...[...opening, ...manifest.grants, ...manifest.transfers].flatMap((row) => row.operator),
    ...gates,
  ]);
  const traits = new Set(manifest.traits.map(({ name }) => name));
  const sections = ["moves", "slots", "lifecycle", "customs"] as const;
  for (const section of sections) {
    manifest[section].forEach((row: OpsRow, i: number) => {
      const wrong = row.operator.some((column) => traits.has(column) && powerful.has(column));
      if (denies(row) && wrong) fault(`RBAC.${section}[${i}].operator`);
    });
  }
}

