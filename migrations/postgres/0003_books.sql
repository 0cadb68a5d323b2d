-- The books: journal entries with their postings, balances, lots, settlements, operations, events.

-- One row, locked by whoever writes the books.
CREATE TABLE ledger_head (
    singleton      BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    entry_seq      BIGINT  NOT NULL CHECK (entry_seq >= 0),
    entry_hash     BYTEA   NOT NULL CHECK (octet_length(entry_hash) = 32),
    event_seq      BIGINT  NOT NULL CHECK (event_seq >= 0),
    account_number BIGINT  NOT NULL CHECK (account_number >= 0),
    booked_at      BIGINT  NOT NULL
) WITH (fillfactor = 50);
INSERT INTO ledger_head (entry_seq, entry_hash, event_seq, account_number, booked_at)
VALUES (0, decode(repeat('00', 32), 'hex'), 0, 0, 0);
CREATE TRIGGER ledger_head_stays BEFORE DELETE ON ledger_head FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_head_all_stay BEFORE TRUNCATE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE operation (
    key         TEXT COLLATE "C" PRIMARY KEY,
    fingerprint BYTEA  NOT NULL CHECK (octet_length(fingerprint) = 32),
    entry_seq   BIGINT,
    done_at     BIGINT NOT NULL
);
CREATE TRIGGER operation_stays BEFORE UPDATE OR DELETE ON operation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operation_all_stay BEFORE TRUNCATE ON operation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE book_account (
    number  BIGINT PRIMARY KEY CHECK (number > 0),
    account TEXT COLLATE "C" NOT NULL,
    unit    TEXT COLLATE "C" NOT NULL,
    debits  NUMERIC(78, 0) NOT NULL CHECK (
        debits >= 0
        AND debits < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    credits NUMERIC(78, 0) NOT NULL CHECK (
        credits >= 0
        AND credits < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    CONSTRAINT book_account_name_key UNIQUE (account, unit)
) WITH (fillfactor = 70);
CREATE TRIGGER book_account_name_stays BEFORE UPDATE OF number, account, unit ON book_account
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER book_account_stays BEFORE DELETE ON book_account FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER book_account_all_stay BEFORE TRUNCATE ON book_account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE entry (
    seq           BIGINT PRIMARY KEY CHECK (seq > 0),
    kind          TEXT COLLATE "C" NOT NULL CHECK (
        kind IN ('settle', 'settle_late', 'suspend', 'withdraw', 'reverse', 'close_order', 'expire')
    ),
    operation_key TEXT COLLATE "C" NOT NULL,
    event_at      BIGINT NOT NULL,
    booked_at     BIGINT NOT NULL,
    transfer_id   BYTEA CHECK (octet_length(transfer_id) = 32),
    order_id      UUID,
    reverses      BIGINT CHECK (reverses < seq),
    previous_hash BYTEA NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash          BYTEA NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE TRIGGER entry_stays BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_all_stay BEFORE TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE posting (
    entry_seq      BIGINT   NOT NULL,
    line           SMALLINT NOT NULL CHECK (line >= 0),
    account_number BIGINT   NOT NULL,
    side           TEXT COLLATE "C" NOT NULL CHECK (side IN ('debit', 'credit')),
    quantity       NUMERIC(78, 0) NOT NULL CHECK (
        quantity > 0
        AND quantity < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    -- Whether it is on an account with credits: only those have a history to list.
    listed         BOOLEAN  NOT NULL,
    PRIMARY KEY (entry_seq, line)
);
CREATE INDEX posting_history ON posting (account_number, entry_seq) WHERE listed;
CREATE TRIGGER posting_stays BEFORE UPDATE OR DELETE ON posting FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER posting_all_stay BEFORE TRUNCATE ON posting FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE lot (
    entry_seq    BIGINT   NOT NULL,
    lot_index    SMALLINT NOT NULL CHECK (lot_index >= 0),
    account      TEXT COLLATE "C" NOT NULL,
    source       TEXT COLLATE "C" NOT NULL CHECK (source IN ('purchase')),
    order_id     UUID,
    transfer_id  BYTEA CHECK (octet_length(transfer_id) = 32),
    granted      BIGINT   NOT NULL CHECK (granted >= 0),
    credits_left BIGINT   NOT NULL CHECK (credits_left BETWEEN 0 AND granted),
    granted_at   BIGINT   NOT NULL,
    expires_at   BIGINT   NOT NULL,
    paid         NUMERIC,
    PRIMARY KEY (entry_seq, lot_index)
);
CREATE INDEX lot_order ON lot (order_id);
CREATE INDEX lot_account ON lot (account, expires_at, entry_seq, lot_index) WHERE credits_left > 0;
CREATE INDEX lot_expiry ON lot (expires_at, entry_seq, lot_index) WHERE credits_left > 0;
CREATE TRIGGER lot_grant_stays BEFORE UPDATE OF entry_seq, lot_index, account, source, order_id, transfer_id, granted,
    granted_at, expires_at, paid
    ON lot FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lot_stays BEFORE DELETE ON lot FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lot_all_stay BEFORE TRUNCATE ON lot FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE settlement (
    transfer_id BYTEA  NOT NULL CHECK (octet_length(transfer_id) = 32),
    generation  BIGINT NOT NULL CHECK (generation BETWEEN 0 AND 4294967295),
    -- The generation that must have been taken back before this one can be settled.
    follows     BIGINT GENERATED ALWAYS AS (CASE WHEN generation > 0 THEN generation - 1 END) STORED,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('order', 'late', 'suspense', 'withdrawal', 'ignored')),
    order_id    UUID,
    evidence    TEXT COLLATE "C",
    suspense    TEXT COLLATE "C",
    ignored     TEXT COLLATE "C",
    candidates  UUID[] NOT NULL,
    base_units  NUMERIC(78, 0) NOT NULL CHECK (
        base_units >= 0
        AND base_units < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    credits     BIGINT NOT NULL,
    usd_value   NUMERIC,
    block_hash  BYTEA  NOT NULL CHECK (octet_length(block_hash) = 32),
    entry_seq   BIGINT,
    settled_at  BIGINT NOT NULL,
    PRIMARY KEY (transfer_id, generation),
    CHECK ((kind = 'ignored') = (ignored IS NOT NULL)),
    CHECK ((kind = 'suspense') = (suspense IS NOT NULL)),
    CHECK ((kind IN ('order', 'late')) = (order_id IS NOT NULL))
);

CREATE TABLE reversal (
    transfer_id BYTEA  NOT NULL CHECK (octet_length(transfer_id) = 32),
    generation  BIGINT NOT NULL CHECK (generation BETWEEN 0 AND 4294967295),
    entry_seq   BIGINT,
    reversed_at BIGINT NOT NULL,
    PRIMARY KEY (transfer_id, generation),
    CONSTRAINT reversal_of_settlement FOREIGN KEY (transfer_id, generation)
        REFERENCES settlement (transfer_id, generation) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE settlement ADD CONSTRAINT settlement_follows_reversal FOREIGN KEY (transfer_id, follows)
    REFERENCES reversal (transfer_id, generation) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX settlement_order ON settlement (order_id);
CREATE INDEX settlement_suspense ON settlement (transfer_id, generation) WHERE kind = 'suspense';
CREATE TRIGGER settlement_stays BEFORE UPDATE OR DELETE ON settlement
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER settlement_all_stay BEFORE TRUNCATE ON settlement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reversal_stays BEFORE UPDATE OR DELETE ON reversal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reversal_all_stay BEFORE TRUNCATE ON reversal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE event (
    seq         BIGINT PRIMARY KEY CHECK (seq > 0),
    kind        TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C",
    order_id    UUID,
    transfer_id BYTEA CHECK (octet_length(transfer_id) = 32),
    entry_seq   BIGINT,
    created_at  BIGINT NOT NULL,
    snapshot    JSON   NOT NULL
);
CREATE INDEX event_account ON event (account, seq) WHERE account IS NOT NULL;
CREATE TRIGGER event_stays BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER event_all_stay BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
