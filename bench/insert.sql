-- One single-row insert of what one commit brings: its hash, and 585 bytes beside it.
\set a random(1, 9223372036854775806)
\set b random(1, 9223372036854775806)
INSERT INTO commits (enclave, hash, body) VALUES ('\x1111111111111111111111111111111111111111111111111111111111111111', sha256((:a::text || :b::text)::bytea), repeat('x', 585));
