// The SDK: the protocol, and a client that verifies everything it hands out.

export { enclaveId, parseCommit, signCommit, signManifest, verifyCommit, type Commit, type Tags } from "./commit.js";
export { eventHash, parseEvent, parseReceipt, receiptOf, verifyEvent, verifyReceipt, type Event, type Receipt } from "./event.js";
export { headsContradict, receiptsContradict } from "./evidence.js";
export { contentHash } from "./hash.js";
export { jcs, parseJson, type Json, type JsonObject } from "./json.js";
export { Keypair, verifySignature } from "./key.js";
export { verifyConsistency, verifyInclusion, type Entry, type Head } from "./log.js";
export { parseNote, verifyCheckpoint, verifyNote } from "./note.js";
export { verifyDelivery, type Receiver } from "./push.js";
export { Refusal, STATUS, type Code } from "./refusal.js";
export { openSession, type Session } from "./session.js";
export { decodeSnapshot, encodeSnapshot, type Snapshot } from "./snapshot.js";
export { gateKey, lifecycleKey, Namespace, ownKey, sharedKey, stateKey, verifyStateProof, type StateProof } from "./state-tree.js";
export { verifySth, type Sth } from "./sth.js";
export { createEnclave } from "./client/create.js";
export { Enclave, type Options, type ProvenState } from "./client/enclave.js";
export { NodeRefusal, Unproven } from "./client/fault.js";
export { NodeLink } from "./client/node.js";
export type { UnboundPin } from "./client/origin.js";
export { CHAT, ENC_NODE, readPaths, readsOf, REGISTRY, TIMELINE, type Reads, type Structure } from "./client/reads.js";
export { MemoryStore, WebStore, type Kept, type Store } from "./client/store.js";
export type { ProvenEntry, StateName } from "./client/tree.js";
export { Watch, type Ended, type Socket, type WatchOptions } from "./client/watch.js";
