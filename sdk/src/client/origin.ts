// Where an enclave comes from: its verified Manifest, and the chain of sequencers that its Migrates make.

import { enclaveId } from "../commit.js";
import { isHex } from "../bytes.js";
import { contentHashOf, parseEvent, verifyEvent, type Event } from "../event.js";
import { isObject, type JsonObject } from "../json.js";
import { isXOnly } from "../key.js";
import { parseManifest, type Manifest } from "../kernel/index.js";
import { Refusal } from "../refusal.js";
import { demand, Unproven } from "./fault.js";

/** Who an unbound id is to be taken from. */
export interface UnboundPin {
  /** The hash of the Manifest commit. */
  readonly manifest: string;
  readonly sequencer: string;
}

/** One stretch of the log and the key that ordered it. */
interface Reign {
  readonly sequencer: string;
  /** The last seq of the stretch; undefined for the present one. */
  last: number | undefined;
}

/** What is known for certain of an enclave. */
export class Origin {
  private readonly reigns: Reign[];

  private constructor(
    readonly id: string,
    /** The Manifest's event. */
    readonly founding: Event,
    readonly manifest: Manifest,
  ) {
    this.reigns = [{ sequencer: manifest.sequencer, last: undefined }];
  }

  /** Verifies the answer of `info/manifest` for `id`. Throws `Unproven`. */
  static verify(id: string, answer: JsonObject, pin?: UnboundPin): Origin {
    const event = answer.manifest === undefined ? undefined : parseEvent(answer.manifest);
    demand(event !== undefined && event.content !== undefined && event.type === "Manifest" && event.seq === 0, "no Manifest");
    const derived = enclaveId(event.from, contentHashOf(event), event.tags);
    const pinned = pin !== undefined && pin.manifest === event.hash && pin.sequencer === event.sequencer;
    demand(event.enclave === id && (derived === id || pinned), "the Manifest does not give this id");
    const manifest = read(event);
    demand(verifyEvent(event, manifest.sequencer), "the Manifest's event does not hold");
    return new Origin(id, event, manifest);
  }

  /** The key that orders the enclave now, as far as is known. */
  get sequencer(): string {
    return (this.reigns[this.reigns.length - 1] as Reign).sequencer;
  }

  /** The key that ordered event `seq`. */
  sequencerOf(seq: number): string {
    const reign = this.reigns.find(({ last }) => last === undefined || seq <= last);
    return (reign as Reign).sequencer;
  }

  /** Learns of a Migrate: a verified event by the present sequencer that names the next. */
  follow(event: Event): void {
    if (this.reigns.some(({ last }) => last === event.seq)) return;
    const { content } = event;
    const next = isObject(content) ? content.new_sequencer : undefined;
    demand(event.type === "Migrate" && isHex(next, 32) && isXOnly(next), "no Migrate");
    demand(event.enclave === this.id && verifyEvent(event, this.sequencer), "a Migrate that the sequencer did not order");
    (this.reigns[this.reigns.length - 1] as Reign).last = event.seq;
    this.reigns.push({ sequencer: next, last: undefined });
  }

  /** The event, its hashes and signatures checked. Throws `Unproven`. */
  event(value: unknown): Event {
    const event = parseEvent(value as JsonObject);
    demand(event !== undefined && event.enclave === this.id, "no event of this enclave");
    demand(verifyEvent(event, this.sequencerOf(event.seq)), `event ${event.seq}: a hash or signature does not hold`);
    return event;
  }
}

function read(event: Event): Manifest {
  try {
    return parseManifest(event.content ?? null, event.from);
  } catch (error) {
    if (error instanceof Refusal) throw new Unproven("a Manifest that breaks a rule");
    throw error;
  }
}
