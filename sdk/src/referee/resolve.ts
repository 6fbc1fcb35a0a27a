// Which action a request asks for (spec section 7), before anything of it is believed.

import { isHex } from "../bytes.js";
import { misshapen } from "../commit.js";
import { Refusal } from "../refusal.js";
import { parseTilePath, type TilePath } from "../tile.js";
import type { Answer, Request } from "./exchange.js";
import { CORS, json } from "./exchange.js";
import { SENTENCES } from "../sentences.js";

const JSON_TYPE = "application/json";

/** Routes below an enclave, with their method and what they take. */
const ROUTES = {
  sth: { method: "GET" },
  checkpoint: { method: "GET" },
  tile: { method: "GET" },
  consistency: { method: "GET" },
  inclusion: { method: "POST", type: JSON_TYPE },
  bundle: { method: "POST", type: JSON_TYPE },
  state: { method: "POST", type: JSON_TYPE },
  "state-batch": { method: "POST", type: JSON_TYPE },
  "info/manifest": { method: "GET" },
  "info/enclave": { method: "GET" },
  "close-bundle": { method: "POST", bodyless: true, type: JSON_TYPE },
  push: { method: "POST", type: JSON_TYPE },
  snapshot: { method: "GET" },
  restore: { method: "POST", type: "application/octet-stream" },
  "init-with-priv": { method: "POST", type: JSON_TYPE },
} as const;

/** Routes of the node itself. */
const NODE_ROUTES = {
  "heads/checkpoint": { method: "GET" },
  "heads/tile": { method: "GET" },
  "heads/proof": { method: "GET" },
  commits: { method: "POST", type: "application/x-ndjson" },
} as const;

export type Action = keyof typeof ROUTES | keyof typeof NODE_ROUTES | "root";

export interface Resolved {
  readonly action: Action;
  readonly method: string;
  /** The enclave that the path names. */
  readonly enclave?: string;
  readonly tile?: TilePath;
}

/** Routes that no page of another origin may call. */
export function isClosed(action: Action): boolean {
  return action === "restore" || action === "init-with-priv";
}

/** The action, or an answer that ends the matter: 405, or a preflight. Throws `invalid_route` and others. */
export function resolve(request: Request): Resolved | Answer {
  const found = route(request.path);
  const methods = found.action === "root" ? ["GET", "POST"] : [found.rule.method as string];
  const closed = isClosed(found.action);
  if (request.method === "OPTIONS" && !closed) return preflight(methods);
  if (!methods.includes(request.method)) {
    const body = { error: "invalid_route", message: SENTENCES.invalid_route };
    return json(body, 405, { allow: methods.join(", ") });
  }
  const type = found.action === "root" ? JSON_TYPE : found.rule.type;
  const bare = "bodyless" in found.rule && request.body.length === 0;
  if (request.method === "POST" && type !== undefined && !bare && mediaType(request) !== type) throw new Refusal("unsupported_media_type");
  const { action, enclave, tile } = found;
  if (enclave !== undefined && !isHex(enclave, 32)) misshapen("enclave");
  return { action, method: request.method, ...(enclave === undefined ? {} : { enclave }), ...(tile === undefined ? {} : { tile }) };
}

interface Found {
  readonly action: Action;
  readonly rule: { readonly method?: string; readonly type?: string; readonly bodyless?: boolean };
  readonly enclave?: string;
  readonly tile?: TilePath;
}

function route(path: string): Found {
  const parts = path.split("/").slice(1);
  if (path === "/") return { action: "root", rule: {} };
  if (parts[0] === "enclaves" || parts[0] === "enclave") return below(parts[1] ?? "", parts.slice(2).join("/"));
  if (/^[0-9a-fA-F]{64}$/.test(parts[0] ?? "")) return below(parts[0] as string, parts.slice(1).join("/"));
  const rest = parts.join("/");
  if (rest.startsWith("heads/tile/")) return { action: "heads/tile", rule: NODE_ROUTES["heads/tile"], tile: tileOf(rest.slice(6)) };
  if (isRoute(NODE_ROUTES, rest) && rest !== "heads/tile") return { action: rest, rule: NODE_ROUTES[rest] };
  return action(rest);
}

function below(enclave: string, rest: string): Found {
  if (rest === "") return { action: "root", rule: {}, enclave };
  return { ...action(rest), enclave };
}

function action(rest: string): Found {
  if (rest.startsWith("tile/")) return { action: "tile", rule: ROUTES.tile, tile: tileOf(rest) };
  if (isRoute(ROUTES, rest) && rest !== "tile") return { action: rest, rule: ROUTES[rest] };
  throw new Refusal("invalid_route");
}

function isRoute<T extends object>(routes: T, name: string): name is keyof T & string {
  return Object.hasOwn(routes, name);
}

function tileOf(path: string): TilePath {
  const parsed = parseTilePath(path);
  if (parsed === undefined) throw new Refusal("invalid_route");
  return parsed;
}

function mediaType(request: Request): string | undefined {
  return request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
}

function preflight(methods: readonly string[]): Answer {
  const headers = {
    "access-control-allow-methods": [...methods, "OPTIONS"].join(", "),
    "access-control-allow-headers": "X-Enc-From, X-Enc-Session, Content-Type",
    "access-control-max-age": "86400",
    ...CORS,
  };
  return { status: 204, headers, body: new Uint8Array(0) };
}
