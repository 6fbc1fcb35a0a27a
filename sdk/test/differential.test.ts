// Random scripts of commits, given to a node and to the kernel: the same answers, places, states and roots.

import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex, utf8 } from "../src/bytes.js";
import { signCommit, signManifest, type Commit, type Tags } from "../src/commit.js";
import { isReceiptFor, parseReceipt, verifyReceipt, type Event } from "../src/event.js";
import { sha256 } from "../src/hash.js";
import { jcs, parseJson, type Json, type JsonObject } from "../src/json.js";
import { Keypair } from "../src/key.js";
import { Refusal } from "../src/refusal.js";
import { openSession } from "../src/session.js";
import { parseSth, verifySth } from "../src/sth.js";
import { Ledger, Reading } from "../src/kernel/index.js";
import { serve } from "../src/referee/server.js";
import { ENCD, startEncd } from "./encd.js";
import { Random, randomStep, type Cast } from "./random.js";

const STEPS = Number(process.env.ENC_STEPS ?? 200);
const SEEDS = (process.env.ENC_SEEDS ?? "1,2").split(",");
const MINUTE = 60_000;

interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

async function post(url: string, body: unknown): Promise<Answer> {
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: jcs(body) });
  return { status: answer.status, body: parseJson(await answer.text()) as JsonObject };
}

async function read(url: string): Promise<JsonObject> {
  return parseJson(await (await fetch(url)).text()) as JsonObject;
}

/** What a refusal says that two implementations must say alike. */
function gist(body: JsonObject): JsonObject {
  const { error, path, index, new_sequencer, prev_seq, ct_root, prev } = body;
  return JSON.parse(jcs({ error, path, index, new_sequencer, prev_seq, ct_root, prev }));
}

function judged(judge: () => void): JsonObject | undefined {
  try {
    judge();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return gist({ error: error.code, ...error.members });
    throw error;
  }
}

/** Sends `commit` to the node and to the kernel; both take it or both refuse it alike. */
async function compare(url: string, ledger: Ledger, commit: Commit, told: string): Promise<void> {
  const { body } = await post(url, commit);
  const receipt = parseReceipt(body);
  const at = receipt?.timestamp ?? Date.now();
  ledger.closeDue(at);
  let effect: ReturnType<Ledger["draft"]> | undefined;
  const refusal = judged(() => {
    const t = ledger.timeFor(commit, at);
    effect = ledger.draft(commit, t, (key) => key === ledger.sequencer);
  });
  assert.deepEqual(receipt === undefined ? gist(body) : undefined, refusal, told);
  if (receipt === undefined || effect === undefined) return;
  assert.ok(isReceiptFor(receipt, commit) && verifyReceipt(receipt, ledger.sequencer), told);
  const { seq, type_seq, timestamp, prev, sequencer, seq_sig, id } = receipt;
  assert.deepEqual({ seq, type_seq, timestamp, prev }, effect.place, told);
  const event: Event = { ...commit, alg: "schnorr", seq, type_seq, timestamp, prev, sequencer, seq_sig, id };
  ledger.append(event, effect.effect);
}

async function compareRoots(url: string, ledger: Ledger): Promise<void> {
  const sth = parseSth(await read(`${url}/enclaves/${ledger.id}/sth`));
  assert.ok(sth !== undefined && verifySth(sth, ledger.sequencer));
  assert.deepEqual({ size: sth.tree_size, root: sth.root_hash }, { size: ledger.bundles.length, root: ledger.root() });
}

/** Everybody reads the same of both, and is refused alike. */
async function compareReaders(url: string, ledger: Ledger, people: readonly Keypair[], told: string): Promise<void> {
  for (const key of [...people, undefined]) {
    const who = `${told}, reader ${key === undefined ? "nobody" : people.indexOf(key)}`;
    const session = key && { from: key.pub, session: openSession(key, ledger.sequencer, Math.floor(Date.now() / 1000) + 600).plain };
    const reading = new Reading(ledger, key?.pub ?? null);
    const { body } = await post(url, { type: "Query", enclave: ledger.id, ...session, filter: { limit: 1000 } });
    const readable = ledger.events.filter((event) => reading.mayQuery(event));
    if (reading.queriesAnything()) assert.equal(jcs(body.events), jcs(readable), who);
    else assert.equal(body.error, "unauthorized", who);
    if (session !== undefined) await compareState(url, ledger, session, reading.readsAnything(), who);
  }
}

async function compareState(url: string, ledger: Ledger, session: { from: string; session: string }, may: boolean, who: string): Promise<void> {
  const { body } = await post(`${url}/enclaves/${ledger.id}/state`, { ...session, namespace: 0, key: session.from });
  const newest = ledger.bundles[ledger.bundles.length - 1];
  if (!may || newest === undefined) {
    assert.equal(body.error, may ? "not_bundled" : "unauthorized", who);
    return;
  }
  assert.equal(body.state_hash, newest.state.rootHash(), who);
  assert.equal(body.last_event_hash, newest.lastEventHash, who);
}

/** An enclave on both sides, by the first of the cast. */
async function found(url: string, cast: Cast, manifest: Json, tags: Tags): Promise<Ledger> {
  const owner = cast.people[0]!;
  const commit = signManifest(owner, manifest, Date.now() + MINUTE, tags);
  const ledger = Ledger.found(commit, undefined, false);
  await compare(url, ledger, commit, "Manifest");
  assert.equal(ledger.events.length, 1);
  return ledger;
}

async function script(url: string, seed: string, steps: number): Promise<void> {
  const { sequencer } = (await read(url)) as { sequencer: string };
  const random = new Random(seed);
  const people = [0, 1, 2, 3, 4, 5].map((i) => new Keypair(sha256(utf8(`${seed}/${i}`))));
  const cast: Cast = { people, sequencer };
  const nonce = toHex(crypto.getRandomValues(new Uint8Array(16)));
  const ledger = await found(url, cast, random.manifest(cast), [["nonce", nonce]]);
  for (let step = 0; step < steps && ledger.status !== "terminated" && ledger.status !== "migrated"; step++) {
    const { key, type, content, tags } = randomStep(random, cast, ledger);
    const commit = signCommit(key, { enclave: ledger.id, type, content, exp: Date.now() + MINUTE, tags });
    const told = `seed ${seed} step ${step}`;
    await compare(url, ledger, commit, `${told}: ${people.indexOf(key)} ${type} ${jcs(content)} ${jcs(tags)}`);
    if (step % 25 !== 24) continue;
    await compareRoots(url, ledger);
    await compareReaders(url, ledger, people, told);
  }
}

test("random scripts against encd", { skip: ENCD === undefined }, async (context) => {
  const node = await startEncd();
  for (const seed of SEEDS) await context.test(`seed ${seed}`, () => script(node.url, seed, STEPS));
  await node.stop();
});

// The same kernel on both sides: what this shows is that the referee's routes hand on what the kernel says.
test("a random script against the referee", async () => {
  const serving = await serve({ port: 0 });
  await script(serving.url, "referee", 50);
  await serving.close();
});
