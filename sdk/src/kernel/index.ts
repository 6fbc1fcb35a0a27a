// The kernel: the rules of an enclave as pure state, without a network, a clock or a key.

export { judgeTime } from "./expiry.js";
export { Ledger, type ClosedBundle, type Draft, type Status } from "./ledger.js";
export type { Effect, Write } from "./judge.js";
export { maskOf, type Manifest } from "./manifest.js";
export { parseManifest } from "./manifest-rules.js";
export { parseFilter, type Filter } from "./filter.js";
export { Reading } from "./reading.js";
export { mayTakeUp, replay, replayEvents, ReplayError, type Pin } from "./replay.js";
export { Roles } from "./roles.js";
