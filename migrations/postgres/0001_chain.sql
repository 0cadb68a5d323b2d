-- What the follower of a chain keeps: the window of blocks, transfers, their observations, the cursor.

-- Rows that are kept as they were written: this refuses every statement that would change or drop them.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are kept as they were written', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TABLE cursor (
    chain_id         BIGINT PRIMARY KEY CHECK (chain_id >= 0),
    start_number     BIGINT NOT NULL CHECK (start_number >= 0),
    tip_number       BIGINT NOT NULL CHECK (tip_number >= 0),
    tip_hash         BYTEA  NOT NULL CHECK (octet_length(tip_hash) = 32),
    tip_time         BIGINT NOT NULL,
    safe_number      BIGINT NOT NULL CHECK (safe_number >= 0),
    finalized_number BIGINT NOT NULL CHECK (finalized_number >= 0),
    audited_to       BIGINT NOT NULL CHECK (audited_to >= 0),
    epoch            BIGINT NOT NULL,
    revision         BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE block (
    chain_id   BIGINT  NOT NULL,
    number     BIGINT  NOT NULL CHECK (number >= 0),
    hash       BYTEA   NOT NULL CHECK (octet_length(hash) = 32),
    block_time BIGINT  NOT NULL,
    proof      TEXT COLLATE "C" NOT NULL CHECK (proof IN ('bloom', 'receipts_root', 'range')),
    canonical  BOOLEAN NOT NULL,
    PRIMARY KEY (chain_id, hash)
);
CREATE UNIQUE INDEX block_canonical_number ON block (chain_id, number) WHERE canonical;
CREATE INDEX block_number ON block (chain_id, number);

CREATE TABLE transfer (
    position           BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                 BYTEA   NOT NULL CONSTRAINT transfer_id_key UNIQUE CHECK (octet_length(id) = 32),
    chain_id           BIGINT  NOT NULL CHECK (chain_id >= 0),
    tx_hash            BYTEA   NOT NULL CHECK (octet_length(tx_hash) = 32),
    token              BYTEA   NOT NULL CHECK (octet_length(token) = 20),
    treasury           BYTEA   NOT NULL CHECK (octet_length(treasury) = 20),
    direction          TEXT COLLATE "C" NOT NULL CHECK (direction IN ('in', 'out')),
    ordinal            BIGINT  NOT NULL CHECK (ordinal BETWEEN 0 AND 4294967295),
    counterparty       BYTEA   NOT NULL CHECK (octet_length(counterparty) = 20),
    base_units         NUMERIC(78, 0) NOT NULL CHECK (
        base_units >= 0
        AND base_units < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    block_number       BIGINT  NOT NULL CHECK (block_number >= 0),
    block_hash         BYTEA   NOT NULL CHECK (octet_length(block_hash) = 32),
    block_time         BIGINT  NOT NULL,
    log_index          BIGINT  NOT NULL CHECK (log_index BETWEEN 0 AND 4294967295),
    reference_read     BOOLEAN NOT NULL,
    reference          BYTEA   CHECK (octet_length(reference) = 16),
    canonical          BOOLEAN NOT NULL,
    generation         BIGINT  NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4294967295),
    settled_block_hash BYTEA   CHECK (octet_length(settled_block_hash) = 32),
    settled            BOOLEAN NOT NULL GENERATED ALWAYS AS (settled_block_hash IS NOT NULL) STORED,
    -- Generated, so that no statement that moves the chain or the books can forget it.
    needs_work         BOOLEAN NOT NULL GENERATED ALWAYS AS (
        canonical <> (settled_block_hash IS NOT NULL)
        OR (settled_block_hash IS NOT NULL AND block_hash <> settled_block_hash)
    ) STORED,
    CHECK (reference IS NULL OR reference_read),
    -- So that the transfers of a chain transaction are found by id.
    CHECK (substring(id FROM 1 FOR 16) = substring(tx_hash FROM 1 FOR 16))
);
CREATE INDEX transfer_block ON transfer (chain_id, block_number);
CREATE INDEX transfer_to_settle ON transfer (chain_id, block_number, log_index) WHERE needs_work AND NOT settled;
CREATE INDEX transfer_to_reverse ON transfer (chain_id, block_number, log_index) WHERE needs_work AND settled;
CREATE TRIGGER transfer_key_stays BEFORE UPDATE OF position, id, chain_id, tx_hash, token, treasury, direction, ordinal
    ON transfer FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_stays BEFORE DELETE ON transfer FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_all_stay BEFORE TRUNCATE ON transfer FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Where transfers were seen before, of those that were seen elsewhere since: the row of a transfer is its present
-- observation. One log between two treasuries is two transfers, so the place alone does not name an observation.
CREATE TABLE former_observation (
    transfer_id BYTEA   NOT NULL CHECK (octet_length(transfer_id) = 32),
    block_hash  BYTEA   NOT NULL CHECK (octet_length(block_hash) = 32),
    log_index   BIGINT  NOT NULL CHECK (log_index BETWEEN 0 AND 4294967295),
    PRIMARY KEY (transfer_id, block_hash, log_index)
);
CREATE TRIGGER former_observation_stays BEFORE UPDATE OR DELETE ON former_observation
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER former_observation_all_stay BEFORE TRUNCATE ON former_observation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every observation that was ever made. One that a transfer came back to is its present one.
CREATE VIEW observation (chain_id, block_hash, log_index, transfer_id, canonical) AS
    SELECT chain_id, block_hash, log_index, id, canonical FROM transfer
    UNION ALL
    SELECT t.chain_id, f.block_hash, f.log_index, f.transfer_id, FALSE
    FROM former_observation f JOIN transfer t ON t.id = f.transfer_id
    WHERE f.block_hash <> t.block_hash OR f.log_index <> t.log_index;
