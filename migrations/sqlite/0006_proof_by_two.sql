-- A block may be proven by two endpoints that tell the same, where its receipts have no standard root.

-- A check cannot be changed in place; nothing refers to this table.
CREATE TABLE block_with_more_proofs (
    chain_id   INTEGER NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 0),
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    block_time INTEGER NOT NULL,
    proof      TEXT    NOT NULL CHECK (proof IN ('bloom', 'receipts_root', 'second_endpoint', 'range')),
    canonical  INTEGER NOT NULL CHECK (canonical IN (0, 1)),
    PRIMARY KEY (chain_id, hash)
) STRICT, WITHOUT ROWID;
INSERT INTO block_with_more_proofs (chain_id, number, hash, block_time, proof, canonical)
    SELECT chain_id, number, hash, block_time, proof, canonical FROM block;
DROP TABLE block;
ALTER TABLE block_with_more_proofs RENAME TO block;
CREATE UNIQUE INDEX block_canonical_number ON block (chain_id, number) WHERE canonical = 1;
CREATE INDEX block_number ON block (chain_id, number);
