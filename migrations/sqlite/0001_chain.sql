-- What the follower of a chain keeps: the window of blocks, transfers, their observations, the cursor.
--
-- Base units are decimal digits as text, without leading zeros, so that equal numbers are equal texts; that there is
-- nothing but digits is seen by trimming them, which is several times faster than a pattern. A statement that would
-- change or drop rows that are kept for good is refused by triggers, and so is one that would replace them: those
-- triggers look for the same key themselves, since a connection may have recursive triggers off.

CREATE TABLE cursor (
    chain_id         INTEGER PRIMARY KEY CHECK (chain_id >= 0),
    start_number     INTEGER NOT NULL CHECK (start_number >= 0),
    tip_number       INTEGER NOT NULL CHECK (tip_number >= 0),
    tip_hash         BLOB NOT NULL CHECK (length(tip_hash) = 32),
    tip_time         INTEGER NOT NULL,
    safe_number      INTEGER NOT NULL CHECK (safe_number >= 0),
    finalized_number INTEGER NOT NULL CHECK (finalized_number >= 0),
    audited_to       INTEGER NOT NULL CHECK (audited_to >= 0),
    epoch            INTEGER NOT NULL,
    revision         INTEGER NOT NULL
) STRICT;

CREATE TABLE block (
    chain_id   INTEGER NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 0),
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    block_time INTEGER NOT NULL,
    proof      TEXT    NOT NULL CHECK (proof IN ('bloom', 'receipts_root', 'range')),
    canonical  INTEGER NOT NULL CHECK (canonical IN (0, 1)),
    PRIMARY KEY (chain_id, hash)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX block_canonical_number ON block (chain_id, number) WHERE canonical = 1;
CREATE INDEX block_number ON block (chain_id, number);

CREATE TABLE transfer (
    position           INTEGER PRIMARY KEY,
    id                 BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    chain_id           INTEGER NOT NULL CHECK (chain_id >= 0),
    tx_hash            BLOB NOT NULL CHECK (length(tx_hash) = 32),
    token              BLOB NOT NULL CHECK (length(token) = 20),
    treasury           BLOB NOT NULL CHECK (length(treasury) = 20),
    direction          TEXT    NOT NULL CHECK (direction IN ('in', 'out')),
    ordinal            INTEGER NOT NULL CHECK (ordinal BETWEEN 0 AND 4294967295),
    counterparty       BLOB NOT NULL CHECK (length(counterparty) = 20),
    base_units         TEXT NOT NULL CHECK (
        octet_length(base_units) BETWEEN 1 AND 78 AND ltrim(base_units, '0123456789') = ''
        AND (base_units = '0' OR substr(base_units, 1, 1) <> '0')
        AND (octet_length(base_units) < 78
            OR base_units <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    block_number       INTEGER NOT NULL CHECK (block_number >= 0),
    block_hash         BLOB NOT NULL CHECK (length(block_hash) = 32),
    block_time         INTEGER NOT NULL,
    log_index          INTEGER NOT NULL CHECK (log_index BETWEEN 0 AND 4294967295),
    reference_read     INTEGER NOT NULL CHECK (reference_read IN (0, 1)),
    reference          BLOB CHECK (length(reference) = 16),
    canonical          INTEGER NOT NULL CHECK (canonical IN (0, 1)),
    generation         INTEGER NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4294967295),
    settled_block_hash BLOB CHECK (length(settled_block_hash) = 32),
    settled            INTEGER NOT NULL GENERATED ALWAYS AS (settled_block_hash IS NOT NULL) STORED,
    -- Generated, so that no statement that moves the chain or the books can forget it.
    needs_work         INTEGER NOT NULL GENERATED ALWAYS AS (
        canonical <> (settled_block_hash IS NOT NULL)
        OR (settled_block_hash IS NOT NULL AND block_hash <> settled_block_hash)
    ) STORED,
    CHECK (reference IS NULL OR reference_read = 1),
    -- So that the transfers of a chain transaction are found by id.
    CHECK (substr(id, 1, 16) = substr(tx_hash, 1, 16))
) STRICT;
CREATE INDEX transfer_block ON transfer (chain_id, block_number);
CREATE INDEX transfer_to_settle ON transfer (chain_id, block_number, log_index) WHERE needs_work = 1 AND settled = 0;
CREATE INDEX transfer_to_reverse ON transfer (chain_id, block_number, log_index) WHERE needs_work = 1 AND settled = 1;
-- A place in a table has names of its own besides `position`.
CREATE TRIGGER transfer_key_stays BEFORE UPDATE OF position, rowid, _rowid_, oid, id, chain_id, tx_hash, token,
    treasury, direction, ordinal
ON transfer BEGIN
    SELECT RAISE(ABORT, 'UPDATE on transfer is refused: its rows are kept as they were written');
END;
CREATE TRIGGER transfer_is_not_dropped BEFORE DELETE ON transfer BEGIN
    SELECT RAISE(ABORT, 'DELETE on transfer is refused: its rows are kept as they were written');
END;
CREATE TRIGGER transfer_is_not_replaced BEFORE INSERT ON transfer BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: transfer.position') WHERE EXISTS (
        SELECT 1 FROM transfer WHERE position = NEW.position);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: transfer.id') WHERE EXISTS (
        SELECT 1 FROM transfer WHERE id = NEW.id);
END;

-- Where transfers were seen before, of those that were seen elsewhere since: the row of a transfer is its present
-- observation. One log between two treasuries is two transfers, so the place alone is no key.
CREATE TABLE former_observation (
    transfer_id BLOB NOT NULL CHECK (length(transfer_id) = 32),
    block_hash  BLOB NOT NULL CHECK (length(block_hash) = 32),
    log_index   INTEGER NOT NULL CHECK (log_index BETWEEN 0 AND 4294967295),
    PRIMARY KEY (transfer_id, block_hash, log_index)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER former_observation_is_not_changed BEFORE UPDATE ON former_observation BEGIN
    SELECT RAISE(ABORT, 'UPDATE on former_observation is refused: its rows are kept as they were written');
END;
CREATE TRIGGER former_observation_is_not_dropped BEFORE DELETE ON former_observation BEGIN
    SELECT RAISE(ABORT, 'DELETE on former_observation is refused: its rows are kept as they were written');
END;
CREATE TRIGGER former_observation_is_not_replaced BEFORE INSERT ON former_observation BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: former_observation') WHERE EXISTS (
        SELECT 1 FROM former_observation WHERE transfer_id = NEW.transfer_id AND block_hash = NEW.block_hash
            AND log_index = NEW.log_index);
END;

-- Every observation that was ever made. One that a transfer came back to is its present one.
CREATE VIEW observation (chain_id, block_hash, log_index, transfer_id, canonical) AS
    SELECT chain_id, block_hash, log_index, id, canonical FROM transfer
    UNION ALL
    SELECT t.chain_id, f.block_hash, f.log_index, f.transfer_id, 0
    FROM former_observation f JOIN transfer t ON t.id = f.transfer_id
    WHERE f.block_hash <> t.block_hash OR f.log_index <> t.log_index;
