// The referee: a node made of the kernel, to compare others with.

export { CORS, type Answer, type Request } from "./exchange.js";
export { Referee, type Host } from "./node.js";
export { Connection } from "./sockets.js";
