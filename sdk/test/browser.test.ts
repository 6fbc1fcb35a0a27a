// The client in a browser, where CHROMIUM names one: over plain http at a name that is not loopback, so without WebCrypto.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { serve } from "../src/referee/server.js";
import { ROOT } from "./vectors.js";

const CHROMIUM = process.env.CHROMIUM;
/** A name that the browser is told to find on this machine. */
const NAME = "node.example";
const PACKAGES = ["ciphers", "curves", "hashes"];

const PAGE = `<!doctype html><script type="importmap">${JSON.stringify({
  imports: Object.fromEntries(PACKAGES.map((name) => [`@noble/${name}/`, `/node_modules/@noble/${name}/`])),
})}</script>`;

/** Serves the compiled SDK and what it imports. */
async function site(): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    if (path === "/") {
      response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
      return;
    }
    const folder = path.startsWith("/node_modules/") ? "sdk" : "sdk/build";
    readFile(new URL(folder + path, ROOT)).then(
      (bytes) => response.writeHead(200, { "content-type": "text/javascript" }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://${NAME}:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

/** What runs in the page; it is given as text and knows nothing of this file. */
const SCRIPT = `async (node) => {
  const { createEnclave, Keypair, Namespace, NodeLink, sharedKey, Watch, WebStore } = await import("/src/index.js");
  const key = Keypair.random();
  const { sequencer } = await new NodeLink(node).about();
  const RBAC = {
    states: ["OWNER"], readers: [{ type: "OWNER", reads: "*" }],
    slots: [{ event: "Shared", key: "name", operator: "OWNER", ops: ["C"] }], customs: [{ event: "note", operator: "OWNER", ops: ["C"] }],
    init: [{ identity: key.pub, state: "OWNER", traits: [] }],
  };
  const manifest = { enc_v: 2, sequencer, bundle: { size: 2, timeout: 3600000 }, RBAC };
  const enclave = await createEnclave(node, manifest, { key, sealed: true, store: new WebStore(localStorage) });
  const heard = [];
  const both = new Promise((resolve) => new Watch(enclave, { type: "note" }, (event) => heard.push(event.content) === 2 && resolve()));
  const { event } = await enclave.commit("note", "one");
  await enclave.commit("Shared", { key: "name", value: "Ada" });
  await enclave.commit("note", "two");
  await both;
  const proven = await enclave.proveEvent(event);
  const state = await enclave.proveState([{ namespace: Namespace.value, raw: sharedKey("name") }]);
  const ledger = await enclave.audit();
  return { heard, leaf: proven.leaf_index, held: state.values[0] !== undefined, events: ledger.events.length,
    kept: localStorage.length, subtle: typeof crypto.subtle };
}`;

test("the client runs in a browser without WebCrypto", { skip: CHROMIUM === undefined }, async () => {
  const serving = await serve({ port: 0 });
  const pages = await site();
  const args = ["--no-sandbox", `--host-resolver-rules=MAP ${NAME} 127.0.0.1`];
  const browser = await chromium.launch({ executablePath: CHROMIUM as string, args });
  try {
    const page = await browser.newPage();
    await page.goto(pages.url);
    const node = serving.url.replace("127.0.0.1", NAME);
    const seen = await page.evaluate(`(${SCRIPT})(${JSON.stringify(node)})`);
    assert.deepEqual(seen, { heard: ["one", "two"], leaf: 0, held: true, events: 4, kept: 1, subtle: "undefined" });
  } finally {
    await browser.close();
    pages.close();
    await serving.close();
  }
});
