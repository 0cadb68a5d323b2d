-- What selling keeps: accounts, quotes, orders, rates, keys, answers to repeated requests.

CREATE TABLE account (
    id         TEXT COLLATE "C" PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 64),
    created_at BIGINT NOT NULL
);
CREATE TRIGGER account_stays BEFORE UPDATE OR DELETE ON account FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER account_all_stay BEFORE TRUNCATE ON account FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE quote (
    id         UUID   PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    body       TEXT   NOT NULL
);
CREATE TRIGGER quote_stays BEFORE UPDATE OR DELETE ON quote FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER quote_all_stay BEFORE TRUNCATE ON quote FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE orders (
    position             BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                   UUID     NOT NULL CONSTRAINT orders_id_key UNIQUE,
    account              TEXT COLLATE "C" NOT NULL,
    quote_id             UUID     NOT NULL CONSTRAINT orders_quote_id_key UNIQUE,
    request_key          TEXT COLLATE "C",
    chain_id             BIGINT   NOT NULL CHECK (chain_id >= 0),
    token                BYTEA    NOT NULL CHECK (octet_length(token) = 20),
    decimals             SMALLINT NOT NULL CHECK (decimals BETWEEN 0 AND 255),
    treasury             BYTEA    NOT NULL CHECK (octet_length(treasury) = 20),
    reference            BYTEA    NOT NULL CONSTRAINT orders_reference_key UNIQUE CHECK (octet_length(reference) = 16),
    due_base_units       NUMERIC(78, 0) NOT NULL CHECK (
        due_base_units >= 0
        AND due_base_units < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    list_base_units      NUMERIC(78, 0) NOT NULL CHECK (
        list_base_units >= 0
        AND list_base_units < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    tolerance_base_units NUMERIC(78, 0) NOT NULL CHECK (
        tolerance_base_units >= 0
        AND tolerance_base_units < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    credits              BIGINT   NOT NULL CHECK (credits >= 0),
    price                NUMERIC  NOT NULL,
    rate                 NUMERIC  NOT NULL CHECK (rate > 0),
    exact_amount_lane    BOOLEAN  NOT NULL,
    created_at           BIGINT   NOT NULL,
    deadline             BIGINT   NOT NULL,
    grace_seconds        BIGINT   NOT NULL CHECK (grace_seconds BETWEEN 0 AND 4294967295),
    credits_valid_days   INTEGER  NOT NULL CHECK (credits_valid_days BETWEEN 0 AND 65535),
    in_time_until        BIGINT   NOT NULL,
    state                TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'partially_paid', 'paid', 'expired')),
    received_base_units  NUMERIC(78, 0) NOT NULL CHECK (
        received_base_units >= 0
        AND received_base_units < 115792089237316195423570985008687907853269984665640564039457584007913129639936
    ),
    credited             BIGINT   NOT NULL,
    closed               BOOLEAN  NOT NULL,
    slot_held            BOOLEAN  NOT NULL,
    CHECK (exact_amount_lane OR NOT slot_held)
);
CREATE UNIQUE INDEX orders_request_key_key ON orders (request_key) WHERE request_key IS NOT NULL;
CREATE UNIQUE INDEX orders_slot_key ON orders (chain_id, token, treasury, due_base_units) WHERE slot_held;
CREATE INDEX orders_account ON orders (account, position);
-- By its negative, so that a chain known beforehand is no reason to read all its orders through this index where
-- another condition finds the few that are wanted.
CREATE INDEX orders_created ON orders ((-chain_id), created_at);
CREATE INDEX orders_to_close ON orders (chain_id, in_time_until)
    WHERE NOT closed AND state IN ('open', 'partially_paid');
CREATE INDEX orders_paid_slots ON orders (chain_id, deadline) WHERE slot_held AND state = 'paid';
CREATE INDEX orders_closed_slots ON orders (chain_id, deadline) WHERE slot_held AND closed;
CREATE TRIGGER orders_terms_stay BEFORE UPDATE OF position, id, account, quote_id, request_key, chain_id, token,
    decimals, treasury, reference, due_base_units, list_base_units, tolerance_base_units, credits, price, rate,
    exact_amount_lane, created_at, deadline, grace_seconds, credits_valid_days, in_time_until
    ON orders FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER orders_stay BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER orders_all_stay BEFORE TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE rate_sample (
    chain_id    BIGINT  NOT NULL,
    token       BYTEA   NOT NULL CHECK (octet_length(token) = 20),
    observed_at BIGINT  NOT NULL,
    source      TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('fixed', 'http', 'feed', 'pool_twap', 'pool_spot')),
    rate        NUMERIC NOT NULL CHECK (rate > 0),
    valid_until BIGINT,
    PRIMARY KEY (chain_id, token, observed_at, source)
);
CREATE TRIGGER rate_sample_stays BEFORE UPDATE OR DELETE ON rate_sample
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rate_sample_all_stay BEFORE TRUNCATE ON rate_sample
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE api_key (
    label      TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA  NOT NULL CONSTRAINT api_key_hash_key UNIQUE CHECK (octet_length(hash) = 32),
    scope      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);

CREATE TABLE idempotency (
    scope        TEXT COLLATE "C" NOT NULL,
    key          TEXT COLLATE "C" NOT NULL,
    fingerprint  BYTEA   NOT NULL CHECK (octet_length(fingerprint) = 32),
    claimed_at   BIGINT  NOT NULL,
    status       INTEGER CHECK (status BETWEEN 0 AND 65535),
    content_type TEXT,
    body         TEXT,
    PRIMARY KEY (scope, key),
    CHECK ((status IS NULL) = (content_type IS NULL) AND (status IS NULL) = (body IS NULL))
);
