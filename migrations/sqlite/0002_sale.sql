-- What selling keeps: accounts, quotes, orders, rates, keys, answers to repeated requests.

CREATE TABLE account (
    id         TEXT    PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 64),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER account_is_not_changed BEFORE UPDATE ON account BEGIN
    SELECT RAISE(ABORT, 'UPDATE on account is refused: its rows are kept as they were written');
END;
CREATE TRIGGER account_is_not_dropped BEFORE DELETE ON account BEGIN
    SELECT RAISE(ABORT, 'DELETE on account is refused: its rows are kept as they were written');
END;
CREATE TRIGGER account_is_not_replaced BEFORE INSERT ON account BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: account.id') WHERE EXISTS (
        SELECT 1 FROM account WHERE id = NEW.id);
END;

CREATE TABLE quote (
    id         BLOB    PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT;
CREATE TRIGGER quote_is_not_changed BEFORE UPDATE ON quote BEGIN
    SELECT RAISE(ABORT, 'UPDATE on quote is refused: its rows are kept as they were written');
END;
CREATE TRIGGER quote_is_not_dropped BEFORE DELETE ON quote BEGIN
    SELECT RAISE(ABORT, 'DELETE on quote is refused: its rows are kept as they were written');
END;
-- A row has a place of its own besides its key, and could be replaced by naming that.
CREATE TRIGGER quote_is_not_replaced BEFORE INSERT ON quote BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: quote.rowid') WHERE EXISTS (
        SELECT 1 FROM quote WHERE rowid = NEW.rowid);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: quote.id') WHERE EXISTS (
        SELECT 1 FROM quote WHERE id = NEW.id);
END;

CREATE TABLE orders (
    position             INTEGER PRIMARY KEY,
    id                   BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    account              TEXT    NOT NULL,
    quote_id             BLOB    NOT NULL UNIQUE CHECK (length(quote_id) = 16),
    request_key          TEXT,
    chain_id             INTEGER NOT NULL CHECK (chain_id >= 0),
    token                BLOB NOT NULL CHECK (length(token) = 20),
    decimals             INTEGER NOT NULL CHECK (decimals BETWEEN 0 AND 255),
    treasury             BLOB NOT NULL CHECK (length(treasury) = 20),
    reference            BLOB    NOT NULL UNIQUE CHECK (length(reference) = 16),
    due_base_units       TEXT NOT NULL CHECK (
        octet_length(due_base_units) BETWEEN 1 AND 78 AND ltrim(due_base_units, '0123456789') = ''
        AND (due_base_units = '0' OR substr(due_base_units, 1, 1) <> '0')
        AND (octet_length(due_base_units) < 78
            OR due_base_units <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    list_base_units      TEXT NOT NULL CHECK (
        octet_length(list_base_units) BETWEEN 1 AND 78 AND ltrim(list_base_units, '0123456789') = ''
        AND (list_base_units = '0' OR substr(list_base_units, 1, 1) <> '0')
        AND (octet_length(list_base_units) < 78
            OR list_base_units <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    tolerance_base_units TEXT NOT NULL CHECK (
        octet_length(tolerance_base_units) BETWEEN 1 AND 78 AND ltrim(tolerance_base_units, '0123456789') = ''
        AND (tolerance_base_units = '0' OR substr(tolerance_base_units, 1, 1) <> '0')
        AND (octet_length(tolerance_base_units) < 78
            OR tolerance_base_units <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    credits              INTEGER NOT NULL CHECK (credits >= 0),
    price                TEXT    NOT NULL CHECK (price <> '' AND price NOT GLOB '*[^0-9.-]*'),
    rate                 TEXT    NOT NULL CHECK (
        rate GLOB '[0-9]*' AND rate NOT GLOB '*[^0-9.]*' AND rate GLOB '*[1-9]*'
    ),
    exact_amount_lane    INTEGER NOT NULL CHECK (exact_amount_lane IN (0, 1)),
    created_at           INTEGER NOT NULL,
    deadline             INTEGER NOT NULL,
    grace_seconds        INTEGER NOT NULL CHECK (grace_seconds BETWEEN 0 AND 4294967295),
    credits_valid_days   INTEGER NOT NULL CHECK (credits_valid_days BETWEEN 0 AND 65535),
    in_time_until        INTEGER NOT NULL,
    state                TEXT    NOT NULL CHECK (state IN ('open', 'partially_paid', 'paid', 'expired')),
    received_base_units  TEXT NOT NULL CHECK (
        octet_length(received_base_units) BETWEEN 1 AND 78 AND ltrim(received_base_units, '0123456789') = ''
        AND (received_base_units = '0' OR substr(received_base_units, 1, 1) <> '0')
        AND (octet_length(received_base_units) < 78
            OR received_base_units <= '115792089237316195423570985008687907853269984665640564039457584007913129639935')
    ),
    credited             INTEGER NOT NULL,
    closed               INTEGER NOT NULL CHECK (closed IN (0, 1)),
    slot_held            INTEGER NOT NULL CHECK (slot_held IN (0, 1)),
    CHECK (exact_amount_lane = 1 OR slot_held = 0)
) STRICT;
CREATE UNIQUE INDEX orders_request_key_key ON orders (request_key) WHERE request_key IS NOT NULL;
CREATE UNIQUE INDEX orders_slot_key ON orders (chain_id, token, treasury, due_base_units) WHERE slot_held = 1;
CREATE INDEX orders_account ON orders (account, position);
CREATE INDEX orders_created ON orders (chain_id, created_at);
CREATE INDEX orders_to_close ON orders (chain_id, in_time_until)
    WHERE closed = 0 AND state IN ('open', 'partially_paid');
CREATE INDEX orders_paid_slots ON orders (chain_id, deadline) WHERE slot_held = 1 AND state = 'paid';
CREATE INDEX orders_closed_slots ON orders (chain_id, deadline) WHERE slot_held = 1 AND closed = 1;
CREATE TRIGGER orders_terms_stay BEFORE UPDATE OF position, rowid, _rowid_, oid, id, account, quote_id, request_key,
    chain_id, token, decimals, treasury, reference, due_base_units, list_base_units, tolerance_base_units,
    credits, price, rate, exact_amount_lane, created_at, deadline, grace_seconds, credits_valid_days, in_time_until
ON orders BEGIN
    SELECT RAISE(ABORT, 'UPDATE on orders is refused: its rows are kept as they were written');
END;
-- A slot that was freed is not taken back: that could push another order out.
CREATE TRIGGER orders_slot_is_freed_once BEFORE UPDATE OF slot_held ON orders WHEN NEW.slot_held > OLD.slot_held BEGIN
    SELECT RAISE(ABORT, 'UPDATE on orders is refused: its rows are kept as they were written');
END;
CREATE TRIGGER orders_is_not_dropped BEFORE DELETE ON orders BEGIN
    SELECT RAISE(ABORT, 'DELETE on orders is refused: its rows are kept as they were written');
END;
CREATE TRIGGER orders_is_not_replaced BEFORE INSERT ON orders BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: orders.position') WHERE EXISTS (
        SELECT 1 FROM orders WHERE position = NEW.position);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: orders.quote_id') WHERE EXISTS (
        SELECT 1 FROM orders WHERE quote_id = NEW.quote_id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: orders.due_base_units') WHERE EXISTS (
        SELECT 1 FROM orders WHERE NEW.slot_held = 1 AND slot_held = 1 AND chain_id = NEW.chain_id
            AND token = NEW.token AND treasury = NEW.treasury AND due_base_units = NEW.due_base_units);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: orders.request_key') WHERE EXISTS (
        SELECT 1 FROM orders WHERE request_key = NEW.request_key);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: orders.id') WHERE EXISTS (
        SELECT 1 FROM orders WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: orders.reference') WHERE EXISTS (
        SELECT 1 FROM orders WHERE reference = NEW.reference);
END;

CREATE TABLE rate_sample (
    chain_id    INTEGER NOT NULL,
    token       BLOB NOT NULL CHECK (length(token) = 20),
    observed_at INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('fixed', 'http', 'feed', 'pool_twap', 'pool_spot')),
    rate        TEXT    NOT NULL CHECK (
        rate GLOB '[0-9]*' AND rate NOT GLOB '*[^0-9.]*' AND rate GLOB '*[1-9]*'
    ),
    valid_until INTEGER,
    PRIMARY KEY (chain_id, token, observed_at, source)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER rate_sample_is_not_changed BEFORE UPDATE ON rate_sample BEGIN
    SELECT RAISE(ABORT, 'UPDATE on rate_sample is refused: its rows are kept as they were written');
END;
CREATE TRIGGER rate_sample_is_not_dropped BEFORE DELETE ON rate_sample BEGIN
    SELECT RAISE(ABORT, 'DELETE on rate_sample is refused: its rows are kept as they were written');
END;
CREATE TRIGGER rate_sample_is_not_replaced BEFORE INSERT ON rate_sample BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: rate_sample') WHERE EXISTS (
        SELECT 1 FROM rate_sample WHERE chain_id = NEW.chain_id AND token = NEW.token AND observed_at = NEW.observed_at
            AND source = NEW.source);
END;

CREATE TABLE api_key (
    label      TEXT    PRIMARY KEY NOT NULL,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    scope      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) STRICT;

CREATE TABLE idempotency (
    scope        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    fingerprint  BLOB NOT NULL CHECK (length(fingerprint) = 32),
    claimed_at   INTEGER NOT NULL,
    status       INTEGER CHECK (status BETWEEN 0 AND 65535),
    content_type TEXT,
    body         TEXT,
    PRIMARY KEY (scope, key),
    CHECK ((status IS NULL) = (content_type IS NULL) AND (status IS NULL) = (body IS NULL))
) STRICT;
