// Starts the node that ENCD names, on a free port with data in memory.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** The program to compare with; tests that need it are left out without. */
export const ENCD = process.env.ENCD;

/** How long a start may take; milliseconds. */
const START_MS = 15_000;

export interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts `encd` and waits for its banner. */
export async function startEncd(extra: readonly string[] = []): Promise<Running> {
  const args = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--memory", ...extra];
  const child = spawn(ENCD as string, args, { stdio: ["ignore", "pipe", "pipe"] });
  const url = await addressIn(child);
  return {
    url,
    stop: async () => {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

function addressIn(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no address within the time")), START_MS);
    const said: string[] = [];
    child.once("exit", () => reject(new Error(`ended: ${said.join("\n")}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on("line", (line) => {
        said.push(line);
        const [, url] = /node\s+(http:\/\/\S+)/.exec(line) ?? [];
        if (url === undefined) return;
        clearTimeout(timer);
        resolve(url);
      });
    }
  });
}
