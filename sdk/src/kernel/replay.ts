// Replays a whole log (spec section 8.2): nothing is believed but the id.

import type { Commit } from "../commit.js";
import { verifyEvent, type Event } from "../event.js";
import { Refusal } from "../refusal.js";
import type { Snapshot } from "../snapshot.js";
import { verifySth } from "../sth.js";
import { Ledger, type Draft } from "./ledger.js";

/** Why a log is refused. */
export class ReplayError extends Error {}

/** Who an unbound id is to be taken from: its Manifest's commit hash and its sequencer. */
export interface Pin {
  readonly manifest: string;
  readonly sequencer: string;
}

/** The enclave that a snapshot holds, every rule of it checked. Throws `ReplayError`. */
export function replay(snapshot: Snapshot, pin?: Pin): Ledger {
  const { events, bundles, sth, seqPub } = snapshot;
  const ledger = replayEvents(events, bundles, pin);
  const signers = [ledger.sequencer, ledger.newSequencer];
  ensure(signers.includes(seqPub) && verifySth(sth, seqPub) && sth.enclave === ledger.id, "the tree head is not the sequencer's");
  ensure(sth.tree_size === bundles.length && sth.root_hash === ledger.root(), "the tree head is of another tree");
  for (const { seq, deleted } of events) ensure((deleted === true) === ledger.isDeleted(seq), `event ${seq}: deleted in one place only`);
  return ledger;
}

/** Replays the events alone; `bundles` are the counts of the closed bundles. Throws `ReplayError`. */
export function replayEvents(events: readonly Event[], bundles: readonly number[], pin?: Pin): Ledger {
  const ends = new Set<number>();
  bundles.reduce((sum, count) => {
    ensure(count >= 1, "a bundle of none");
    ends.add(sum + count);
    return sum + count;
  }, 0);
  const ledger = found(events[0], pin);
  for (const event of events) {
    replayEvent(ledger, event);
    const end = ledger.events.length;
    if (ledger.openCount === 0) ensure(ends.has(end), `event ${event.seq}: a full bundle was left open`);
    else if (ends.has(end)) ledger.close(event.timestamp);
  }
  ensure(ledger.bundles.length === bundles.length, "a bundle beyond the events");
  return ledger;
}

function ensure(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new ReplayError(reason);
}

function found(manifest: Event | undefined, pin: Pin | undefined): Ledger {
  ensure(manifest !== undefined && manifest.type === "Manifest" && manifest.content !== undefined, "no Manifest");
  const commit = commitOf(manifest);
  const ledger = refused(() => Ledger.found(commit, undefined, pin !== undefined), 0);
  const pinned = pin === undefined || (pin.manifest === commit.hash && pin.sequencer === manifest.sequencer);
  ensure(pinned && (ledger.bound || pin !== undefined), "an id that the Manifest does not prove");
  return ledger;
}

function replayEvent(ledger: Ledger, event: Event): void {
  const { seq, timestamp } = event;
  if (ledger.newSequencer !== undefined && event.sequencer === ledger.newSequencer) ledger.takeOver();
  ensure(event.enclave === ledger.id && seq === ledger.events.length, `event ${seq}: out of place`);
  ensure(verifyEvent(event, ledger.sequencer), `event ${seq}: a hash or signature does not hold`);
  ensure(ledger.due === undefined || timestamp < ledger.due, `event ${seq}: its bundle's time was up`);
  const draft = refused(() => draftOf(ledger, event), seq);
  const { place } = draft;
  const placed = place.timestamp === timestamp && place.type_seq === event.type_seq && place.prev === event.prev;
  ensure(placed, `event ${seq}: another place than the log gives it`);
  ledger.append(event, draft.effect);
}

function draftOf(ledger: Ledger, event: Event): Draft {
  const commit = commitOf(event);
  const t = ledger.timeFor(commit, event.timestamp);
  if (event.type === "Recovered") return ledger.draftRecovered(commit, t);
  return ledger.draft(commit, t, (key) => ledger.sequencers.has(key));
}

/** The commit inside an event. Of a deleted event, which is an app's own, no rule looks at the content. */
function commitOf({ hash, enclave, from, type, content, exp, tags, sig }: Event): Commit {
  return { hash, enclave, from, type, content: content ?? null, exp, tags, sig };
}

function refused<T>(judge: () => T, seq: number): T {
  try {
    return judge();
  } catch (error) {
    if (error instanceof Refusal) throw new ReplayError(`event ${seq}: ${error.code}`);
    throw error;
  }
}

/** Whether a restored log becomes live (spec section 8.3): its Migrate is to a key held here, and taken up for the first time. */
export function mayTakeUp(
  ledger: Ledger,
  told: { readonly keyHeld: boolean; readonly first: boolean; readonly takenUpBefore: boolean },
): boolean {
  return ledger.newSequencer !== undefined && told.keyHeld && told.first && !told.takenUpBefore;
}
