// Read methods, derived from the structure of a service (services.md section 1): nothing is written twice.

import type { Json } from "../json.js";
import type { NodeLink } from "./node.js";

/** As much of the Enclave structure as reads follow from. */
export interface Structure {
  readonly dataView: boolean;
  readonly extraRoutes: readonly string[];
}

export const ENC_NODE = { dataView: false, extraRoutes: ["GET consistency", "POST bundle"] } as const;
export const CHAT = { dataView: false, extraRoutes: [] } as const;
export const REGISTRY = {
  dataView: true,
  extraRoutes: ["GET /nodes", "GET /nodes/:id", "GET /enclaves/:id", "GET /resolve/:id", "GET /identities/:id", "POST /push"],
} as const;
export const TIMELINE = {
  dataView: true,
  extraRoutes: [
    "GET /posts", "GET /posts/:id", "GET /feed", "GET /likes/:ref", "GET /profile/:id", "GET /search", "POST /push", "GET /health",
  ],
} as const;

/** `"GET /nodes/:id"` → `"/nodes/:id"`, of a service with a data view. */
type ReadPath<S extends Structure> = S["dataView"] extends true
  ? S["extraRoutes"][number] extends infer Route ? (Route extends `GET ${infer Path}` ? Path : never) : never
  : never;

/** `"/nodes/:id"` → `"nodesById"`. */
type MethodName<Path extends string> = Path extends `/${infer Name}/:${infer Variable}` ? `${Name}By${Capitalize<Variable>}` : Path extends `/${infer Name}` ? Name : never;

type Variables<Path extends string> = Path extends `${string}:${infer Variable}` ? [value: { [name in Variable]: string }[Variable]] : [];

/** One method for each read; further arguments of a search stand in `query`. */
export type Reads<S extends Structure> = {
  readonly [Path in ReadPath<S> as MethodName<Path>]: (...args: [...Variables<Path>, query?: { readonly [name: string]: string }]) => Promise<Json>;
};

/** The paths of the read routes. */
export function readPaths({ dataView, extraRoutes }: Structure): readonly string[] {
  return dataView ? extraRoutes.filter((route) => route.startsWith("GET ")).map((route) => route.slice(4)) : [];
}

/** The read methods of a service that `link` serves. Views are unproven conveniences: each item names its event. */
export function readsOf<S extends Structure>(structure: S, link: NodeLink): Reads<S> {
  const methods = readPaths(structure).map((path) => {
    const [, name, variable] = /^\/([a-z]+)(?:\/:([a-z]+))?$/.exec(path) as unknown as [string, string, string | undefined];
    const method = variable === undefined ? name : `${name}By${variable[0]!.toUpperCase()}${variable.slice(1)}`;
    const read = (...args: readonly unknown[]): Promise<Json> => {
      const query = (variable === undefined ? args[0] : args[1]) as { [name: string]: string } | undefined;
      const below = variable === undefined ? "" : "/" + encodeURIComponent(String(args[0]));
      const search = query === undefined ? "" : "?" + new URLSearchParams(query).toString();
      return link.json("GET", `/${name}${below}${search}`);
    };
    return [method, read] as const;
  });
  return Object.fromEntries(methods) as unknown as Reads<S>;
}
