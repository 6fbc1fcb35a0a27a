// Other people's programs against the referee: the CLI's workflows (ENC) and the black-box suite (JUDGE), where these name them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { serve } from "../src/referee/server.js";

const { ENC, JUDGE } = process.env;
const run = promisify(execFile);
const BOUND_MS = 300_000;

for (const which of ["personal", "group"]) {
  for (const sealed of [[], ["--sealed"]]) {
    test(`enc workflow ${[which, ...sealed].join(" ")}`, { skip: ENC === undefined }, async () => {
      const home = await mkdtemp(join(tmpdir(), "enc-sdk-"));
      const serving = await serve({ port: 0 });
      const args = ["workflow", which, ...sealed, "--remote", serving.url];
      const { stdout } = await run(ENC as string, args, { env: { ...process.env, HOME: home, ENC_HOME: home }, timeout: BOUND_MS });
      assert.match(stdout, /(\d+)\/\1 ok/);
      await serving.close();
      await rm(home, { recursive: true });
    });
  }
}

test("the black-box suite", { skip: JUDGE === undefined }, async () => {
  const serving = await serve({ port: 0 });
  const { stdout } = await run(JUDGE as string, [serving.url, "--operator-is-local"], { timeout: BOUND_MS });
  assert.match(stdout, /[1-9][0-9]* passed, 0 failed/);
  await serving.close();
});
