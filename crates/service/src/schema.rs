//! Every table, in the SQL subset that all hosts share; each is keyed by enclave first.

/// Tables of every node.
pub const NODE: &[&str] = &[
    // `as_type` and `as_seq` are the type by which reading is judged: the event's own, or, of an Update or Delete, that of the
    // event it refers to. `content` is NULL once the event is deleted; its hash stays.
    "CREATE TABLE IF NOT EXISTS events (
        enclave BLOB NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, hash BLOB NOT NULL, from_pub BLOB NOT NULL,
        type TEXT NOT NULL, content TEXT, content_hash BLOB NOT NULL, tags TEXT NOT NULL, alg TEXT NOT NULL,
        exp INTEGER NOT NULL, sig BLOB NOT NULL, timestamp INTEGER NOT NULL, prev BLOB NOT NULL, sequencer BLOB NOT NULL,
        seq_sig BLOB NOT NULL, type_seq INTEGER NOT NULL, as_type TEXT NOT NULL, refers BLOB) STRICT",
    "CREATE UNIQUE INDEX IF NOT EXISTS events_seq ON events (enclave, seq)",
    // A commit hash covers its enclave, so it alone is unique; so is an id, but for the same log restored under two hosts' keys.
    "CREATE UNIQUE INDEX IF NOT EXISTS events_hash ON events (hash)",
    "CREATE UNIQUE INDEX IF NOT EXISTS events_id ON events (id)",
    "CREATE INDEX IF NOT EXISTS events_type ON events (enclave, type, seq)",
    "CREATE INDEX IF NOT EXISTS events_as_type ON events (enclave, as_type, seq) WHERE as_type <> type",
    "CREATE INDEX IF NOT EXISTS events_from ON events (enclave, from_pub, seq)",
    "CREATE INDEX IF NOT EXISTS events_refers ON events (enclave, refers, seq) WHERE refers IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS event_tags (
        enclave BLOB NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (enclave, name, value, seq)) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS event_tags_name ON event_tags (enclave, name, seq)",
    "CREATE TABLE IF NOT EXISTS node_state (
        enclave BLOB NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (enclave, key)) STRICT, WITHOUT ROWID",
    // A page of the state tree: as it is, the bundle that last changed it, and as it was when the bundle before that closed.
    "CREATE TABLE IF NOT EXISTS state_pages (
        enclave BLOB NOT NULL, page BLOB NOT NULL, since INTEGER NOT NULL, body BLOB, old BLOB,
        PRIMARY KEY (enclave, page)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS bundles (
        enclave BLOB NOT NULL, first_seq INTEGER NOT NULL, idx INTEGER NOT NULL, entry BLOB NOT NULL,
        state_hash BLOB NOT NULL, last_event_hash BLOB NOT NULL, PRIMARY KEY (enclave, first_seq)) STRICT, WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS bundles_idx ON bundles (enclave, idx)",
    "CREATE TABLE IF NOT EXISTS log_nodes (
        enclave BLOB NOT NULL, level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (enclave, level, idx)) STRICT, WITHOUT ROWID",
    // The own Move by which an identity stopped matching a reader rule with snapshot retention.
    "CREATE TABLE IF NOT EXISTS left_rules (
        enclave BLOB NOT NULL, identity BLOB NOT NULL, rule INTEGER NOT NULL, state INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (enclave, identity, rule)) STRICT, WITHOUT ROWID",
];

/// Tables of a service that pushes.
pub const PUSH: &[&str] = &[
    // `state`: 0 waits for its challenge, 1 is delivered to, 2 has refused its challenge, 3 was given up. `retries` counts since the last
    // success. An id is never used again: the answer to a request that names it may come when its row is gone.
    "CREATE TABLE IF NOT EXISTS push_endpoints (
        id INTEGER PRIMARY KEY AUTOINCREMENT, enclave BLOB NOT NULL, identity BLOB NOT NULL, url TEXT NOT NULL, state INTEGER NOT NULL,
        token BLOB NOT NULL, retries INTEGER NOT NULL, retry_at INTEGER NOT NULL, UNIQUE (enclave, identity, url)) STRICT",
    "CREATE TABLE IF NOT EXISTS push_pending (
        id INTEGER PRIMARY KEY, enclave BLOB NOT NULL, queue_key INTEGER NOT NULL, event_seq INTEGER NOT NULL,
        UNIQUE (queue_key, event_seq)) STRICT",
    // The counter outlives its endpoint: `push_seq` never runs backwards for an identity and a url.
    "CREATE TABLE IF NOT EXISTS push_seq (
        enclave BLOB NOT NULL, identity BLOB NOT NULL, url TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (enclave, identity, url)) STRICT, WITHOUT ROWID",
    // What was handed out under a `push_seq`, for Pull: the events' places, not their bytes.
    "CREATE TABLE IF NOT EXISTS push_delivered (
        id INTEGER PRIMARY KEY AUTOINCREMENT, enclave BLOB NOT NULL, identity BLOB NOT NULL, url TEXT NOT NULL, push_seq INTEGER NOT NULL,
        payload TEXT NOT NULL, delivered_at INTEGER NOT NULL, UNIQUE (enclave, identity, url, push_seq)) STRICT",
];

/// Table of a service with a view.
pub const VIEW: &[&str] = &["CREATE TABLE IF NOT EXISTS sync_state (
        enclave BLOB NOT NULL PRIMARY KEY, last_seq INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID"];
