# The Worker on workerd itself: real Durable Objects, real SQLite, no account. `build/` is made by `cargo xtask workers`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "storage", disk = (path = "storage", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "build/worker.js"),
    (name = "./guest.wasm", wasm = embed "build/guest.wasm"),
  ],
  compatibilityDate = "2026-07-01",
  durableObjectNamespaces = [(className = "EnclaveDO", uniqueKey = "enclave", enableSql = true)],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [
    (name = "ENCLAVE", durableObjectNamespace = "EnclaveDO"),
    (name = "SEQUENCER_KEY", fromEnvironment = "SEQUENCER_KEY"),
    (name = "NODE_NAME", fromEnvironment = "NODE_NAME"),
    (name = "CLOCK_MS", fromEnvironment = "CLOCK_MS"),
  ],
);
