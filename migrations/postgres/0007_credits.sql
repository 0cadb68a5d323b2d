-- Credits in use: where the parts of each lot are, holds and how they end, spends, limits, profiles.

ALTER TABLE operation ADD COLUMN refusal TEXT CHECK (refusal IS NULL OR entry_seq IS NULL);

ALTER TABLE entry ADD COLUMN version SMALLINT NOT NULL DEFAULT 1 CHECK (version > 0);
ALTER TABLE entry ADD COLUMN facts TEXT;
ALTER TABLE entry DROP CONSTRAINT entry_kind_check;
ALTER TABLE entry ADD CONSTRAINT entry_kind_check CHECK (
    kind IN ('settle', 'settle_late', 'suspend', 'withdraw', 'reverse', 'close_order', 'expire', 'grant', 'revoke',
            'hold', 'capture', 'release', 'lapse_hold', 'spend', 'refund')
);

-- What an entry moved within lots. The slices of a hold or a spend are the moves of its entry.
CREATE TABLE lot_move (
    entry_seq     BIGINT   NOT NULL,
    line          SMALLINT NOT NULL CHECK (line >= 0),
    lot_entry_seq BIGINT   NOT NULL,
    lot_index     SMALLINT NOT NULL,
    from_bucket   TEXT COLLATE "C" NOT NULL CHECK (from_bucket IN ('left', 'held', 'spent', 'expired', 'taken')),
    to_bucket     TEXT COLLATE "C" NOT NULL CHECK (to_bucket IN ('left', 'held', 'spent', 'expired', 'taken')),
    credits       BIGINT   NOT NULL CHECK (credits > 0),
    PRIMARY KEY (entry_seq, line),
    CHECK (from_bucket <> to_bucket)
);
CREATE INDEX lot_move_lot ON lot_move (lot_entry_seq, lot_index, entry_seq);
CREATE TRIGGER lot_move_stays BEFORE UPDATE OR DELETE ON lot_move FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lot_move_all_stay BEFORE TRUNCATE ON lot_move FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE lot DROP CONSTRAINT lot_source_check;
ALTER TABLE lot ADD CONSTRAINT lot_source_check CHECK (source IN ('purchase', 'subscription', 'free_plan', 'promotion', 'prize'));
ALTER TABLE lot ADD COLUMN campaign TEXT COLLATE "C";
ALTER TABLE lot ADD COLUMN scope TEXT COLLATE "C";
ALTER TABLE lot ADD COLUMN priority SMALLINT NOT NULL DEFAULT 50 CHECK (priority BETWEEN 0 AND 255);
ALTER TABLE lot ADD COLUMN held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0);
ALTER TABLE lot ADD COLUMN spent BIGINT NOT NULL DEFAULT 0 CHECK (spent >= 0);
ALTER TABLE lot ADD COLUMN expired BIGINT NOT NULL DEFAULT 0 CHECK (expired >= 0);
ALTER TABLE lot ADD COLUMN taken BIGINT NOT NULL DEFAULT 0 CHECK (taken >= 0);
ALTER TABLE lot ADD COLUMN revoked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE lot ADD COLUMN warned BOOLEAN NOT NULL DEFAULT FALSE;
DROP TRIGGER lot_grant_stays ON lot;
CREATE TRIGGER lot_grant_stays BEFORE UPDATE OF entry_seq, lot_index, account, source, order_id, transfer_id, granted,
    granted_at, expires_at, paid, campaign, scope, priority
    ON lot FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE INDEX lot_to_warn ON lot (expires_at, entry_seq, lot_index) WHERE credits_left > 0 AND NOT warned;

-- What entries before this release did to lots: a lot lapsed by the operation that names it, and lost what else it lost
-- to the newest reversal of its order.
INSERT INTO lot_move (entry_seq, line, lot_entry_seq, lot_index, from_bucket, to_bucket, credits)
SELECT e.seq, 0, l.entry_seq, l.lot_index, 'left', 'expired', p.quantity::bigint
FROM lot l JOIN entry e ON e.kind = 'expire'
    AND e.operation_key = 'expire/lot_' || l.entry_seq || '_' || l.lot_index
JOIN posting p ON p.entry_seq = e.seq AND p.side = 'debit';
UPDATE lot l SET expired = m.credits FROM lot_move m
WHERE m.lot_entry_seq = l.entry_seq AND m.lot_index = l.lot_index;
INSERT INTO lot_move (entry_seq, line, lot_entry_seq, lot_index, from_bucket, to_bucket, credits)
SELECT reversed.seq, ROW_NUMBER() OVER (PARTITION BY reversed.seq ORDER BY l.entry_seq, l.lot_index) - 1,
    l.entry_seq, l.lot_index, 'left', 'taken', l.granted - l.credits_left - l.expired
FROM lot l CROSS JOIN LATERAL (
    SELECT e.seq FROM entry e WHERE e.kind = 'reverse' AND e.order_id = l.order_id ORDER BY e.seq DESC LIMIT 1) AS reversed
WHERE l.granted > l.credits_left + l.expired;
UPDATE lot SET taken = granted - credits_left - expired WHERE granted > credits_left + expired;
ALTER TABLE lot ADD CONSTRAINT lot_is_whole CHECK (granted = credits_left + held + spent + expired + taken);

CREATE TABLE hold (
    id         UUID   PRIMARY KEY,
    entry_seq  BIGINT NOT NULL CONSTRAINT hold_entry_key UNIQUE,
    account    TEXT COLLATE "C" NOT NULL,
    purpose    TEXT   NOT NULL,
    feature    TEXT COLLATE "C" GENERATED ALWAYS AS (purpose::json ->> 'feature') STORED,
    project    TEXT COLLATE "C" GENERATED ALWAYS AS (purpose::json ->> 'project') STORED,
    session    TEXT COLLATE "C" GENERATED ALWAYS AS (purpose::json ->> 'session') STORED,
    credits    BIGINT NOT NULL CHECK (credits > 0),
    made_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    is_open    BOOLEAN NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX hold_account ON hold (account, entry_seq);
CREATE INDEX hold_open ON hold (account, expires_at) WHERE is_open;
CREATE INDEX hold_due ON hold (expires_at) WHERE is_open;
CREATE TRIGGER hold_terms_stay BEFORE UPDATE OF id, entry_seq, account, purpose, credits, made_at, expires_at
    ON hold FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER hold_ends_once BEFORE UPDATE ON hold
    FOR EACH ROW WHEN (NOT OLD.is_open) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER hold_stays BEFORE DELETE ON hold FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER hold_all_stay BEFORE TRUNCATE ON hold FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One row ends a hold.
CREATE TABLE hold_resolution (
    hold_id     UUID   PRIMARY KEY,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('captured', 'released', 'lapsed')),
    captured    BIGINT NOT NULL CHECK (captured >= 0),
    entry_seq   BIGINT NOT NULL,
    resolved_at BIGINT NOT NULL,
    CHECK ((kind = 'captured') = (captured > 0))
);
CREATE TRIGGER hold_resolution_stays BEFORE UPDATE OR DELETE ON hold_resolution
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER hold_resolution_all_stay BEFORE TRUNCATE ON hold_resolution
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE usage (
    entry_seq  BIGINT PRIMARY KEY,
    account    TEXT COLLATE "C" NOT NULL,
    hold_id    UUID,
    purpose    TEXT   NOT NULL,
    feature    TEXT COLLATE "C" GENERATED ALWAYS AS (purpose::json ->> 'feature') STORED,
    project    TEXT COLLATE "C" GENERATED ALWAYS AS (purpose::json ->> 'project') STORED,
    session    TEXT COLLATE "C" GENERATED ALWAYS AS (purpose::json ->> 'session') STORED,
    credits    BIGINT NOT NULL CHECK (credits > 0),
    refunded   BIGINT NOT NULL CHECK (refunded BETWEEN 0 AND credits),
    counted_at BIGINT NOT NULL,
    booked_at  BIGINT NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX usage_account ON usage (account, entry_seq);
CREATE INDEX usage_counted ON usage (account, counted_at);
CREATE INDEX usage_session ON usage (account, session, entry_seq) WHERE session IS NOT NULL;
CREATE TRIGGER usage_terms_stay BEFORE UPDATE OF entry_seq, account, hold_id, purpose, credits, counted_at, booked_at
    ON usage FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_stays BEFORE DELETE ON usage FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_all_stay BEFORE TRUNCATE ON usage FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Sums of spends by day in the account's zone; a spend without a project counts under the empty one.
CREATE TABLE usage_day (
    account  TEXT COLLATE "C" NOT NULL,
    day      INTEGER NOT NULL,
    feature  TEXT COLLATE "C" NOT NULL,
    project  TEXT COLLATE "C" NOT NULL,
    spends   BIGINT NOT NULL CHECK (spends >= 0),
    units    BIGINT NOT NULL CHECK (units >= 0),
    spent    BIGINT NOT NULL CHECK (spent >= 0),
    refunded BIGINT NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND spent),
    PRIMARY KEY (account, day, feature, project)
) WITH (fillfactor = 70);

CREATE TABLE usage_limit (
    id          UUID   PRIMARY KEY,
    account     TEXT COLLATE "C" NOT NULL,
    scope       TEXT COLLATE "C" NOT NULL CHECK (scope IN ('account', 'feature', 'project', 'session')),
    scope_name  TEXT COLLATE "C" NOT NULL CHECK ((scope = 'account') = (scope_name = '')),
    time_window TEXT COLLATE "C" NOT NULL CHECK (time_window IN ('day', 'month', 'total')),
    action      TEXT COLLATE "C" NOT NULL CHECK (action IN ('warn', 'refuse')),
    cap         BIGINT NOT NULL CHECK (cap > 0),
    alerts      TEXT   NOT NULL,
    set_at      BIGINT NOT NULL,
    removed_at  BIGINT
);
CREATE UNIQUE INDEX usage_limit_in_force ON usage_limit (account, scope, scope_name, time_window, action)
    WHERE removed_at IS NULL;
CREATE TRIGGER usage_limit_terms_stay BEFORE UPDATE OF id, account, scope, scope_name, time_window, action, cap, alerts,
    set_at ON usage_limit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_limit_stays BEFORE DELETE ON usage_limit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_limit_all_stay BEFORE TRUNCATE ON usage_limit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE limit_window (
    limit_id  UUID   NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at   BIGINT NOT NULL CHECK (ends_at > starts_at),
    held      BIGINT NOT NULL CHECK (held >= 0),
    spent     BIGINT NOT NULL CHECK (spent >= 0),
    alerted   SMALLINT NOT NULL CHECK (alerted BETWEEN 0 AND 100),
    told      BOOLEAN NOT NULL,
    PRIMARY KEY (limit_id, starts_at)
) WITH (fillfactor = 70);
CREATE INDEX limit_window_open ON limit_window (limit_id, ends_at);

CREATE TABLE account_profile (
    account        TEXT COLLATE "C" PRIMARY KEY,
    zone           TEXT NOT NULL,
    balance_alerts TEXT NOT NULL,
    told_credits   BIGINT,
    told_entry_seq BIGINT,
    told_lot_index SMALLINT,
    CHECK ((told_credits IS NULL) = (told_entry_seq IS NULL) AND (told_credits IS NULL) = (told_lot_index IS NULL))
);
