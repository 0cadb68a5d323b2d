-- The books: journal entries with their postings, balances, lots, settlements, operations, events.

-- One row: where the journal and the events end.
CREATE TABLE ledger_head (
    singleton      INTEGER PRIMARY KEY DEFAULT 1 CHECK (singleton = 1),
    entry_seq      INTEGER NOT NULL CHECK (entry_seq >= 0),
    entry_hash     BLOB NOT NULL CHECK (length(entry_hash) = 32),
    event_seq      INTEGER NOT NULL CHECK (event_seq >= 0),
    account_number INTEGER NOT NULL CHECK (account_number >= 0),
    booked_at      INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_head (entry_seq, entry_hash, event_seq, account_number, booked_at)
VALUES (0, zeroblob(32), 0, 0, 0);
CREATE TRIGGER ledger_head_is_not_dropped BEFORE DELETE ON ledger_head BEGIN
    SELECT RAISE(ABORT, 'DELETE on ledger_head is refused: its rows are kept as they were written');
END;
CREATE TRIGGER ledger_head_is_not_replaced BEFORE INSERT ON ledger_head BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: ledger_head.singleton') WHERE EXISTS (
        SELECT 1 FROM ledger_head WHERE TRUE);
END;

CREATE TABLE operation (
    key         TEXT    PRIMARY KEY,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    entry_seq   INTEGER,
    done_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER operation_is_not_changed BEFORE UPDATE ON operation BEGIN
    SELECT RAISE(ABORT, 'UPDATE on operation is refused: its rows are kept as they were written');
END;
CREATE TRIGGER operation_is_not_dropped BEFORE DELETE ON operation BEGIN
    SELECT RAISE(ABORT, 'DELETE on operation is refused: its rows are kept as they were written');
END;
CREATE TRIGGER operation_is_not_replaced BEFORE INSERT ON operation BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: operation.key') WHERE EXISTS (
        SELECT 1 FROM operation WHERE key = NEW.key);
END;

CREATE TABLE book_account (
    number  INTEGER PRIMARY KEY CHECK (number > 0),
    account TEXT    NOT NULL,
    unit    TEXT    NOT NULL,
    debits  TEXT NOT NULL CHECK (
        octet_length(debits) BETWEEN 1 AND 78 AND ltrim(debits, '0123456789') = ''
        AND (debits = '0' OR substr(debits, 1, 1) <> '0')
        AND (octet_length(debits) < 78
            OR debits <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    credits TEXT NOT NULL CHECK (
        octet_length(credits) BETWEEN 1 AND 78 AND ltrim(credits, '0123456789') = ''
        AND (credits = '0' OR substr(credits, 1, 1) <> '0')
        AND (octet_length(credits) < 78
            OR credits <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    UNIQUE (account, unit)
) STRICT;
CREATE TRIGGER book_account_key_stays BEFORE UPDATE OF number, rowid, _rowid_, oid, account, unit ON book_account BEGIN
    SELECT RAISE(ABORT, 'UPDATE on book_account is refused: its rows are kept as they were written');
END;
CREATE TRIGGER book_account_is_not_dropped BEFORE DELETE ON book_account BEGIN
    SELECT RAISE(ABORT, 'DELETE on book_account is refused: its rows are kept as they were written');
END;
CREATE TRIGGER book_account_is_not_replaced BEFORE INSERT ON book_account BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: book_account.number') WHERE EXISTS (
        SELECT 1 FROM book_account WHERE number = NEW.number);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: book_account.account, book_account.unit') WHERE EXISTS (
        SELECT 1 FROM book_account WHERE account = NEW.account AND unit = NEW.unit);
END;

CREATE TABLE entry (
    seq           INTEGER PRIMARY KEY CHECK (seq > 0),
    kind          TEXT    NOT NULL CHECK (
        kind IN ('settle', 'settle_late', 'suspend', 'withdraw', 'reverse', 'close_order', 'expire')
    ),
    operation_key TEXT    NOT NULL,
    event_at      INTEGER NOT NULL,
    booked_at     INTEGER NOT NULL,
    transfer_id   BLOB CHECK (length(transfer_id) = 32),
    order_id      BLOB CHECK (length(order_id) = 16),
    reverses      INTEGER CHECK (reverses < seq),
    previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
    hash          BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER entry_is_not_changed BEFORE UPDATE ON entry BEGIN
    SELECT RAISE(ABORT, 'UPDATE on entry is refused: its rows are kept as they were written');
END;
CREATE TRIGGER entry_is_not_dropped BEFORE DELETE ON entry BEGIN
    SELECT RAISE(ABORT, 'DELETE on entry is refused: its rows are kept as they were written');
END;
CREATE TRIGGER entry_is_not_replaced BEFORE INSERT ON entry BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: entry.seq') WHERE EXISTS (
        SELECT 1 FROM entry WHERE seq = NEW.seq);
END;

CREATE TABLE posting (
    entry_seq      INTEGER NOT NULL,
    line           INTEGER NOT NULL CHECK (line BETWEEN 0 AND 32767),
    account_number INTEGER NOT NULL,
    side           TEXT    NOT NULL CHECK (side IN ('debit', 'credit')),
    quantity       TEXT NOT NULL CHECK (
        octet_length(quantity) BETWEEN 1 AND 78 AND ltrim(quantity, '0123456789') = ''
        AND substr(quantity, 1, 1) <> '0'
        AND (octet_length(quantity) < 78
            OR quantity <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    -- Whether it is on an account with credits: only those have a history to list.
    listed         INTEGER NOT NULL CHECK (listed IN (0, 1)),
    PRIMARY KEY (entry_seq, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX posting_history ON posting (account_number, entry_seq) WHERE listed = 1;
CREATE TRIGGER posting_is_not_changed BEFORE UPDATE ON posting BEGIN
    SELECT RAISE(ABORT, 'UPDATE on posting is refused: its rows are kept as they were written');
END;
CREATE TRIGGER posting_is_not_dropped BEFORE DELETE ON posting BEGIN
    SELECT RAISE(ABORT, 'DELETE on posting is refused: its rows are kept as they were written');
END;
CREATE TRIGGER posting_is_not_replaced BEFORE INSERT ON posting BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: posting') WHERE EXISTS (
        SELECT 1 FROM posting WHERE entry_seq = NEW.entry_seq AND line = NEW.line);
END;

CREATE TABLE lot (
    entry_seq    INTEGER NOT NULL,
    lot_index    INTEGER NOT NULL CHECK (lot_index BETWEEN 0 AND 32767),
    account      TEXT    NOT NULL,
    source       TEXT    NOT NULL CHECK (source IN ('purchase')),
    order_id     BLOB CHECK (length(order_id) = 16),
    transfer_id  BLOB CHECK (length(transfer_id) = 32),
    granted      INTEGER NOT NULL CHECK (granted >= 0),
    credits_left INTEGER NOT NULL CHECK (credits_left BETWEEN 0 AND granted),
    granted_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    paid         TEXT    CHECK (paid <> '' AND paid NOT GLOB '*[^0-9.-]*'),
    PRIMARY KEY (entry_seq, lot_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX lot_order ON lot (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX lot_account ON lot (account, expires_at, entry_seq, lot_index) WHERE credits_left > 0;
CREATE INDEX lot_expiry ON lot (expires_at, entry_seq, lot_index) WHERE credits_left > 0;
CREATE TRIGGER lot_terms_stay BEFORE UPDATE OF entry_seq, lot_index, account, source, order_id, transfer_id, granted,
    granted_at, expires_at, paid
ON lot BEGIN
    SELECT RAISE(ABORT, 'UPDATE on lot is refused: its rows are kept as they were written');
END;
CREATE TRIGGER lot_is_not_dropped BEFORE DELETE ON lot BEGIN
    SELECT RAISE(ABORT, 'DELETE on lot is refused: its rows are kept as they were written');
END;
CREATE TRIGGER lot_is_not_replaced BEFORE INSERT ON lot BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: lot') WHERE EXISTS (
        SELECT 1 FROM lot WHERE entry_seq = NEW.entry_seq AND lot_index = NEW.lot_index);
END;

CREATE TABLE settlement (
    transfer_id BLOB NOT NULL CHECK (length(transfer_id) = 32),
    generation  INTEGER NOT NULL CHECK (generation BETWEEN 0 AND 4294967295),
    -- The generation that must have been taken back before this one can be settled.
    follows     INTEGER GENERATED ALWAYS AS (CASE WHEN generation > 0 THEN generation - 1 END) STORED,
    kind        TEXT    NOT NULL CHECK (kind IN ('order', 'late', 'suspense', 'withdrawal', 'ignored')),
    order_id    BLOB CHECK (length(order_id) = 16),
    evidence    TEXT,
    suspense    TEXT,
    ignored     TEXT,
    -- Orders' ids of 16 bytes each, one behind the other.
    candidates  BLOB    NOT NULL CHECK (length(candidates) % 16 = 0),
    base_units  TEXT NOT NULL CHECK (
        octet_length(base_units) BETWEEN 1 AND 78 AND ltrim(base_units, '0123456789') = ''
        AND (base_units = '0' OR substr(base_units, 1, 1) <> '0')
        AND (octet_length(base_units) < 78
            OR base_units <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    credits     INTEGER NOT NULL,
    usd_value   TEXT    CHECK (usd_value <> '' AND usd_value NOT GLOB '*[^0-9.-]*'),
    block_hash  BLOB NOT NULL CHECK (length(block_hash) = 32),
    entry_seq   INTEGER,
    settled_at  INTEGER NOT NULL,
    PRIMARY KEY (transfer_id, generation),
    FOREIGN KEY (transfer_id, follows) REFERENCES reversal (transfer_id, generation) DEFERRABLE INITIALLY DEFERRED,
    CHECK ((kind = 'ignored') = (ignored IS NOT NULL)),
    CHECK ((kind = 'suspense') = (suspense IS NOT NULL)),
    CHECK ((kind IN ('order', 'late')) = (order_id IS NOT NULL))
) STRICT;
CREATE INDEX settlement_order ON settlement (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX settlement_suspense ON settlement (kind, transfer_id, generation) WHERE kind = 'suspense';
CREATE TRIGGER settlement_is_not_changed BEFORE UPDATE ON settlement BEGIN
    SELECT RAISE(ABORT, 'UPDATE on settlement is refused: its rows are kept as they were written');
END;
CREATE TRIGGER settlement_is_not_dropped BEFORE DELETE ON settlement BEGIN
    SELECT RAISE(ABORT, 'DELETE on settlement is refused: its rows are kept as they were written');
END;
-- A row has a place of its own besides its key, and could be replaced by naming that.
CREATE TRIGGER settlement_is_not_replaced BEFORE INSERT ON settlement BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: settlement.rowid') WHERE EXISTS (
        SELECT 1 FROM settlement WHERE rowid = NEW.rowid);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: settlement') WHERE EXISTS (
        SELECT 1 FROM settlement WHERE transfer_id = NEW.transfer_id AND generation = NEW.generation);
END;

CREATE TABLE reversal (
    transfer_id BLOB NOT NULL CHECK (length(transfer_id) = 32),
    generation  INTEGER NOT NULL CHECK (generation BETWEEN 0 AND 4294967295),
    entry_seq   INTEGER,
    reversed_at INTEGER NOT NULL,
    PRIMARY KEY (transfer_id, generation),
    FOREIGN KEY (transfer_id, generation) REFERENCES settlement (transfer_id, generation)
        DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TRIGGER reversal_is_not_changed BEFORE UPDATE ON reversal BEGIN
    SELECT RAISE(ABORT, 'UPDATE on reversal is refused: its rows are kept as they were written');
END;
CREATE TRIGGER reversal_is_not_dropped BEFORE DELETE ON reversal BEGIN
    SELECT RAISE(ABORT, 'DELETE on reversal is refused: its rows are kept as they were written');
END;
-- A row has a place of its own besides its key, and could be replaced by naming that.
CREATE TRIGGER reversal_is_not_replaced BEFORE INSERT ON reversal BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: reversal.rowid') WHERE EXISTS (
        SELECT 1 FROM reversal WHERE rowid = NEW.rowid);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: reversal') WHERE EXISTS (
        SELECT 1 FROM reversal WHERE transfer_id = NEW.transfer_id AND generation = NEW.generation);
END;

CREATE TABLE event (
    seq         INTEGER PRIMARY KEY CHECK (seq > 0),
    kind        TEXT    NOT NULL,
    account     TEXT,
    order_id    BLOB CHECK (length(order_id) = 16),
    transfer_id BLOB CHECK (length(transfer_id) = 32),
    entry_seq   INTEGER,
    created_at  INTEGER NOT NULL,
    snapshot    TEXT    NOT NULL CHECK (json_valid(snapshot))
) STRICT;
CREATE INDEX event_account ON event (account, seq) WHERE account IS NOT NULL;
CREATE TRIGGER event_is_not_changed BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'UPDATE on event is refused: its rows are kept as they were written');
END;
CREATE TRIGGER event_is_not_dropped BEFORE DELETE ON event BEGIN
    SELECT RAISE(ABORT, 'DELETE on event is refused: its rows are kept as they were written');
END;
CREATE TRIGGER event_is_not_replaced BEFORE INSERT ON event BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: event.seq') WHERE EXISTS (
        SELECT 1 FROM event WHERE seq = NEW.seq);
END;
