// The client against the referee, and against encd where ENCD names one: what it hands out was verified.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { WebSocket } from "ws";
import { createEnclave } from "../src/client/create.js";
import { Enclave, type Options } from "../src/client/enclave.js";
import { NodeRefusal, Unproven } from "../src/client/fault.js";
import { CHAT, ENC_NODE, readPaths, readsOf, REGISTRY, TIMELINE } from "../src/client/reads.js";
import { NodeLink } from "../src/client/node.js";
import { MemoryStore } from "../src/client/store.js";
import { Watch, type Socket } from "../src/client/watch.js";
import { contentHash } from "../src/hash.js";
import { toHex } from "../src/bytes.js";
import { jcs, type Json } from "../src/json.js";
import { Keypair } from "../src/key.js";
import { openSession } from "../src/session.js";
import { Namespace, sharedKey } from "../src/state-tree.js";
import { serve } from "../src/referee/server.js";
import { ENCD, startEncd } from "./encd.js";

const owner = Keypair.fromHex("33".repeat(32));
const member = Keypair.fromHex("55".repeat(32));

function manifest(sequencer: string, size: number = 3): Json {
  return {
    enc_v: 2, sequencer, bundle: { size, timeout: 3_600_000 },
    RBAC: {
      states: ["MEMBER"], traits: ["owner(0)"], readers: [{ type: "MEMBER", reads: "*" }],
      moves: [
        { event: "Move", from: "OUTSIDER", to: "MEMBER", operator: "owner", ops: ["C"] },
        { event: "Move", from: "MEMBER", to: "OUTSIDER", operator: ["Self", "owner"], ops: ["C"] },
      ],
      slots: [{ event: "Shared", key: "topic", operator: "owner", ops: ["C", "U", "D"] }],
      customs: [{ event: "message", operator: "MEMBER", ops: ["C"] }, { event: "message", operator: "Sender", ops: ["U", "D"] }],
      init: [{ identity: owner.pub, state: "MEMBER", traits: ["owner"] }, { identity: member.pub, state: "MEMBER", traits: [] }],
    },
  };
}

async function made(url: string, options: Options = {}, size?: number): Promise<Enclave> {
  const { sequencer } = (await new NodeLink(url).about()) as { sequencer: string };
  return createEnclave(url, manifest(sequencer, size), { ...options, key: owner });
}

/** Waits until `holds`, for a bounded time. */
async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds()) {
    assert.ok(Date.now() < end, "waited too long");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function onEachNode(context: TestContext, scenario: (url: string) => Promise<void>): Promise<void> {
  await context.test("referee", async () => {
    const serving = await serve({ port: 0 });
    try {
      await scenario(serving.url);
    } finally {
      await serving.close();
    }
  });
  await context.test("encd", { skip: ENCD === undefined }, async () => {
    const node = await startEncd();
    try {
      await scenario(node.url);
    } finally {
      await node.stop();
    }
  });
}

/** Everything a client does, on the enclave. */
async function everything(enclave: Enclave): Promise<void> {
  const { event, receipt } = await enclave.commit("message", { text: "hello" });
  assert.equal(receipt.id, event.id);
  await enclave.commit("Shared", { key: "topic", value: "Tuesdays" });
  const read: unknown[] = [];
  for await (const one of enclave.events({ limit: 1 }, true)) read.push(one.type);
  assert.deepEqual(read, ["Manifest", "message", "Shared"]);
  const back: number[] = [];
  for await (const one of enclave.events({ limit: 2, reverse: true }, true)) back.push(one.seq);
  assert.deepEqual(back, [2, 1, 0]);
  assert.equal(jcs((await enclave.query({ id: event.id })).events), jcs([event]));
  const proven = await enclave.proveEvent(event);
  assert.equal(proven.entry.first_seq, 0);
  const state = await enclave.proveState([{ namespace: Namespace.value, raw: sharedKey("topic") }, { namespace: Namespace.value, raw: sharedKey("none") }]);
  assert.ok(state.current);
  assert.deepEqual(state.values.map((value) => value && toHex(value)), [contentHash("Tuesdays"), undefined]);
  assert.equal((await enclave.sth()).tree_size, 1);
  await enclave.checkpoint();
}

test("commits, reads and proofs, plain and sealed", async (context) => {
  await onEachNode(context, async (url) => {
    await everything(await made(url));
    await everything(await made(url, { sealed: true }));
  });
});

test("an audit replays the whole log", async (context) => {
  await onEachNode(context, async (url) => {
    const enclave = await made(url);
    for (let i = 0; i < 5; i++) await enclave.commit("message", i);
    const ledger = await enclave.audit();
    assert.deepEqual([ledger.events.length, ledger.bundles.length], [6, 2]);
  });
});

test("a refusal has its code", async (context) => {
  await onEachNode(context, async (url) => {
    const enclave = await made(url);
    const stranger = await Enclave.open(url, enclave.id, { key: Keypair.fromHex("66".repeat(32)) });
    const refused = (error: unknown): boolean => error instanceof NodeRefusal && error.code === "unauthorized";
    await assert.rejects(stranger.commit("message", 1), refused);
    await assert.rejects(stranger.query(), refused);
  });
});

/** Whether `ask`, lied to at byte `at` of the answer, gave an error; undefined where the answer is shorter. */
async function caught(url: string, liar: Enclave, ask: (liar: Enclave) => Promise<unknown>, at: number): Promise<boolean | undefined> {
  let lied = false;
  const lying: typeof fetch = async (...args) => {
    const answer = await fetch(...args);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (at < bytes.length) {
      lied = true;
      bytes[at] = (bytes[at] as number) ^ 1;
    }
    return new Response(bytes, { status: answer.status });
  };
  Object.assign(liar, { link: new NodeLink(url, lying) });
  try {
    await ask(liar);
    return lied ? false : undefined;
  } catch (error) {
    assert.ok(lied && (error instanceof Unproven || error instanceof NodeRefusal), String(error));
    return true;
  }
}

test("an answer with one byte changed gives an error, never a value", async () => {
  const serving = await serve({ port: 0 });
  const enclave = await made(serving.url);
  for (let i = 0; i < 4; i++) await enclave.commit("message", `text ${i}`);
  const { events } = await enclave.query({ type: "message" });
  const asks: readonly ((liar: Enclave) => Promise<unknown>)[] = [
    (liar) => liar.query({ type: "message", limit: 1, reverse: true }),
    (liar) => liar.sth(),
    (liar) => liar.proveEvent(events[0]!),
    (liar) => liar.proveState([{ namespace: Namespace.identity, raw: new Uint8Array(32) }]),
  ];
  const liar = await Enclave.open(serving.url, enclave.id, { key: owner });
  for (const [which, ask] of asks.entries()) {
    let lies = 0;
    for (let at = 0; ; at += 23) {
      const result = await caught(serving.url, liar, ask, at);
      if (result === undefined) break;
      assert.ok(result, `a lie at byte ${at} of answer ${which} was believed`);
      lies++;
    }
    assert.ok(lies > 15, `${lies} lies`);
  }
  await serving.close();
});

test("a node that has forgotten is noticed", async () => {
  const key = Keypair.fromHex("44".repeat(32));
  const first = await serve({ port: 0, key });
  const second = await serve({ port: 0, key });
  const store = new MemoryStore();
  const enclave = await made(first.url, { store }, 1);
  await enclave.commit("message", "one");
  await enclave.sth();
  const { content, exp, from, hash, sig, tags, type } = enclave.origin.founding;
  await new NodeLink(second.url).json("POST", "/", { content: content!, enclave: enclave.id, exp, from, hash, sig, tags, type });
  const again = await Enclave.open(second.url, enclave.id, { key: owner, store });
  await assert.rejects(again.sth(), (error) => error instanceof Unproven && /rolled back/.test(error.message));
  await again.commit("message", "another");
  await assert.rejects(again.sth(), (error) => error instanceof Unproven && error.evidence !== undefined);
  await Promise.all([first.close(), second.close()]);
});

test("a subscription resumes after drops and loses nothing", async (context) => {
  await onEachNode(context, async (url) => {
    const enclave = await made(url);
    const sockets: WebSocket[] = [];
    const connect = (address: string): Socket => {
      const socket = new WebSocket(address);
      sockets.push(socket);
      return socket as unknown as Socket;
    };
    const heard: Json[] = [];
    const watch = new Watch(enclave, { type: "message" }, (event) => heard.push(event.content ?? null), { connect, wait: () => Promise.resolve() });
    for (let i = 0; i < 12; i++) {
      await enclave.commit("message", i);
      if (i % 4 === 3) {
        sockets[sockets.length - 1]?.terminate();
        enclave.credentials.renew();
      }
    }
    await until(() => heard.length >= 12);
    assert.equal(jcs(heard), jcs([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
    assert.ok(sockets.length >= 3);
    watch.stop();
    assert.equal(await watch.ended, "closed");
  });
});

test("a moved enclave is followed", async () => {
  const from = await serve({ port: 0 });
  const to = await serve({ port: 0 });
  const { sequencer } = (await new NodeLink(to.url).about()) as { sequencer: string };
  const locate = (key: string): Promise<string | undefined> => Promise.resolve(key === sequencer ? to.url : undefined);
  const enclave = await made(from.url, { locate });
  const reader = await Enclave.open(from.url, enclave.id, { key: member, locate });
  const heard: Json[] = [];
  const connect = (address: string): Socket => new WebSocket(address) as unknown as Socket;
  const watch = new Watch(reader, { type: "message" }, (event) => heard.push(event.content ?? null), { connect, wait: () => Promise.resolve() });
  await enclave.commit("message", "before");
  const ledger = await enclave.audit();
  await enclave.commit("Migrate", { new_sequencer: sequencer, prev_seq: ledger.events.length - 1, ct_root: ledger.root(), prev: ledger.lastEventHash });
  await restoreAt(from.url, to.url, enclave, sequencer);
  await enclave.commit("message", "after");
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ["before", "after"]);
  watch.stop();
  assert.equal((await enclave.audit()).sequencer, sequencer);
  await Promise.all([from.close(), to.close()]);
});

async function restoreAt(from: string, to: string, enclave: Enclave, sequencer: string): Promise<void> {
  const snapshot = await new NodeLink(from).bytes(`/enclaves/${enclave.id}/snapshot`, enclave.credentials.headers());
  const session = openSession(owner, sequencer, Math.floor(Date.now() / 1000) + 600);
  const headers = { "content-type": "application/octet-stream", "x-enc-from": owner.pub, "x-enc-session": session.plain };
  const answer = await fetch(`${to}/enclaves/${enclave.id}/restore?first=true`, { method: "POST", headers, body: snapshot as BodyInit });
  assert.deepEqual([answer.status, ((await answer.json()) as { live: boolean }).live], [200, true]);
}

test("read methods follow from the structure", async () => {
  assert.deepEqual([REGISTRY, TIMELINE, CHAT, ENC_NODE].map((one) => readPaths(one).length), [5, 7, 0, 0]);
  const asked: string[] = [];
  const link = new NodeLink("http://node.example", (url) => {
    asked.push(String(url));
    return Promise.resolve(new Response("{}"));
  });
  const reads = readsOf(REGISTRY, link);
  await reads.nodes({ limit: "5" });
  await reads.resolveById("ab/c");
  assert.deepEqual(asked, ["http://node.example/nodes?limit=5", "http://node.example/resolve/ab%2Fc"]);
});
