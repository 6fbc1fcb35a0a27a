// What a client stops at.

import type { JsonObject } from "../json.js";
import type { Code } from "../refusal.js";

/** The node refused. */
export class NodeRefusal extends Error {
  constructor(
    readonly code: Code,
    readonly status: number,
    readonly body: JsonObject,
  ) {
    super(`the node refused: ${code}`);
    this.name = "NodeRefusal";
  }
}

/** What a node answered does not hold. Nothing of it may be used; two words that contradict each other are kept as evidence. */
export class Unproven extends Error {
  constructor(
    message: string,
    readonly evidence?: readonly [unknown, unknown],
  ) {
    super(message);
    this.name = "Unproven";
  }
}

/** Throws `Unproven` unless `holds`. */
export function demand(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Unproven(otherwise);
}

/** Throws `Unproven` where `answer` has a member that is not among `names`. */
export function demandOnly(answer: JsonObject, names: readonly string[]): void {
  for (const name of Object.keys(answer)) demand(names.includes(name), "an answer with a member that is not listed");
}
