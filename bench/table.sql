-- The unique indices that the node keeps on a commit: its place, and its hash.
CREATE TABLE commits (enclave bytea NOT NULL, seq bigserial, hash bytea NOT NULL, body text NOT NULL);
CREATE UNIQUE INDEX commits_seq ON commits (enclave, seq);
CREATE UNIQUE INDEX commits_hash ON commits (hash);
