-- Credits in use: where the parts of each lot are, holds and how they end, spends, limits, profiles.

ALTER TABLE operation ADD COLUMN refusal TEXT CHECK (refusal IS NULL OR entry_seq IS NULL);

-- A check of a column is changed by making the table anew.
CREATE TABLE entry_anew (
    seq           INTEGER PRIMARY KEY CHECK (seq > 0),
    kind          TEXT    NOT NULL CHECK (
        kind IN ('settle', 'settle_late', 'suspend', 'withdraw', 'reverse', 'close_order', 'expire', 'grant', 'revoke',
            'hold', 'capture', 'release', 'lapse_hold', 'spend', 'refund')
    ),
    operation_key TEXT    NOT NULL,
    event_at      INTEGER NOT NULL,
    booked_at     INTEGER NOT NULL,
    transfer_id   BLOB CHECK (length(transfer_id) = 32),
    order_id      BLOB CHECK (length(order_id) = 16),
    reverses      INTEGER CHECK (reverses < seq),
    previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
    hash          BLOB NOT NULL CHECK (length(hash) = 32),
    version       INTEGER NOT NULL CHECK (version BETWEEN 1 AND 32767),
    facts         TEXT
) STRICT;
INSERT INTO entry_anew SELECT seq, kind, operation_key, event_at, booked_at, transfer_id, order_id, reverses,
    previous_hash, hash, 1, NULL FROM entry ORDER BY seq;
DROP TABLE entry;
ALTER TABLE entry_anew RENAME TO entry;
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

-- What an entry moved within lots. The slices of a hold or a spend are the moves of its entry.
CREATE TABLE lot_move (
    entry_seq     INTEGER NOT NULL,
    line          INTEGER NOT NULL CHECK (line BETWEEN 0 AND 32767),
    lot_entry_seq INTEGER NOT NULL,
    lot_index     INTEGER NOT NULL CHECK (lot_index BETWEEN 0 AND 32767),
    from_bucket   TEXT    NOT NULL CHECK (from_bucket IN ('left', 'held', 'spent', 'expired', 'taken')),
    to_bucket     TEXT    NOT NULL CHECK (to_bucket IN ('left', 'held', 'spent', 'expired', 'taken')),
    credits       INTEGER NOT NULL CHECK (credits > 0),
    PRIMARY KEY (entry_seq, line),
    CHECK (from_bucket <> to_bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX lot_move_lot ON lot_move (lot_entry_seq, lot_index, entry_seq);
CREATE TRIGGER lot_move_is_not_changed BEFORE UPDATE ON lot_move BEGIN
    SELECT RAISE(ABORT, 'UPDATE on lot_move is refused: its rows are kept as they were written');
END;
CREATE TRIGGER lot_move_is_not_dropped BEFORE DELETE ON lot_move BEGIN
    SELECT RAISE(ABORT, 'DELETE on lot_move is refused: its rows are kept as they were written');
END;
CREATE TRIGGER lot_move_is_not_replaced BEFORE INSERT ON lot_move BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: lot_move') WHERE EXISTS (
        SELECT 1 FROM lot_move WHERE entry_seq = NEW.entry_seq AND line = NEW.line);
END;

-- What entries before this release did to lots: a lot lapsed by the operation that names it, and lost what else it lost
-- to the newest reversal of its order.
INSERT INTO lot_move (entry_seq, line, lot_entry_seq, lot_index, from_bucket, to_bucket, credits)
SELECT e.seq, 0, l.entry_seq, l.lot_index, 'left', 'expired', CAST(p.quantity AS INTEGER)
FROM lot l JOIN entry e ON e.kind = 'expire'
    AND e.operation_key = 'expire/lot_' || l.entry_seq || '_' || l.lot_index
JOIN posting p ON p.entry_seq = e.seq AND p.side = 'debit';
INSERT INTO lot_move (entry_seq, line, lot_entry_seq, lot_index, from_bucket, to_bucket, credits)
SELECT reversed, ROW_NUMBER() OVER (PARTITION BY reversed ORDER BY entry_seq, lot_index) - 1,
    entry_seq, lot_index, 'left', 'taken', missing
FROM (SELECT l.entry_seq, l.lot_index,
        l.granted - l.credits_left - COALESCE((SELECT SUM(m.credits) FROM lot_move m
            WHERE m.lot_entry_seq = l.entry_seq AND m.lot_index = l.lot_index), 0) AS missing,
        (SELECT MAX(e.seq) FROM entry e WHERE e.kind = 'reverse' AND e.order_id = l.order_id) AS reversed
    FROM lot l)
WHERE missing > 0 AND reversed IS NOT NULL;

CREATE TABLE lot_anew (
    entry_seq    INTEGER NOT NULL,
    lot_index    INTEGER NOT NULL CHECK (lot_index BETWEEN 0 AND 32767),
    account      TEXT    NOT NULL,
    source       TEXT    NOT NULL CHECK (source IN ('purchase', 'subscription', 'free_plan', 'promotion', 'prize')),
    order_id     BLOB CHECK (length(order_id) = 16),
    transfer_id  BLOB CHECK (length(transfer_id) = 32),
    granted      INTEGER NOT NULL CHECK (granted >= 0),
    credits_left INTEGER NOT NULL CHECK (credits_left BETWEEN 0 AND granted),
    granted_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    paid         TEXT    CHECK (paid <> '' AND paid NOT GLOB '*[^0-9.-]*'),
    campaign     TEXT,
    scope        TEXT,
    priority     INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 255),
    held         INTEGER NOT NULL CHECK (held >= 0),
    spent        INTEGER NOT NULL CHECK (spent >= 0),
    expired      INTEGER NOT NULL CHECK (expired >= 0),
    taken        INTEGER NOT NULL CHECK (taken >= 0),
    revoked      INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    warned       INTEGER NOT NULL CHECK (warned IN (0, 1)),
    PRIMARY KEY (entry_seq, lot_index),
    CONSTRAINT lot_is_whole CHECK (granted = credits_left + held + spent + expired + taken)
) STRICT, WITHOUT ROWID;
INSERT INTO lot_anew SELECT l.entry_seq, l.lot_index, l.account, l.source, l.order_id, l.transfer_id, l.granted,
    l.credits_left, l.granted_at, l.expires_at, l.paid, NULL, NULL, 50, 0, 0, COALESCE(gone.expired, 0),
    l.granted - l.credits_left - COALESCE(gone.expired, 0), 0, 0
FROM lot l LEFT JOIN (SELECT lot_entry_seq, lot_index, SUM(credits) AS expired FROM lot_move
    WHERE to_bucket = 'expired' GROUP BY lot_entry_seq, lot_index) AS gone
    ON gone.lot_entry_seq = l.entry_seq AND gone.lot_index = l.lot_index;
DROP TABLE lot;
ALTER TABLE lot_anew RENAME TO lot;
CREATE INDEX lot_order ON lot (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX lot_account ON lot (account, expires_at, entry_seq, lot_index) WHERE credits_left > 0;
CREATE INDEX lot_expiry ON lot (expires_at, entry_seq, lot_index) WHERE credits_left > 0;
CREATE INDEX lot_to_warn ON lot (expires_at, entry_seq, lot_index) WHERE credits_left > 0 AND warned = 0;
CREATE TRIGGER lot_terms_stay BEFORE UPDATE OF entry_seq, lot_index, account, source, order_id, transfer_id, granted, granted_at,
    expires_at, paid, campaign, scope, priority
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

CREATE TABLE hold (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16),
    entry_seq  INTEGER NOT NULL,
    account    TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    feature    TEXT GENERATED ALWAYS AS (purpose ->> 'feature') STORED,
    project    TEXT GENERATED ALWAYS AS (purpose ->> 'project') STORED,
    session    TEXT GENERATED ALWAYS AS (purpose ->> 'session') STORED,
    credits    INTEGER NOT NULL CHECK (credits > 0),
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    is_open    INTEGER NOT NULL CHECK (is_open IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX hold_entry_key ON hold (entry_seq);
CREATE INDEX hold_account ON hold (account, entry_seq);
CREATE INDEX hold_open ON hold (account, expires_at) WHERE is_open = 1;
CREATE INDEX hold_due ON hold (expires_at) WHERE is_open = 1;
CREATE TRIGGER hold_terms_stay BEFORE UPDATE OF id, entry_seq, account, purpose, credits, made_at, expires_at
ON hold BEGIN
    SELECT RAISE(ABORT, 'UPDATE on hold is refused: its rows are kept as they were written');
END;
CREATE TRIGGER hold_ends_once BEFORE UPDATE ON hold WHEN OLD.is_open = 0 BEGIN
    SELECT RAISE(ABORT, 'UPDATE on hold is refused: a hold ends once');
END;
CREATE TRIGGER hold_is_not_dropped BEFORE DELETE ON hold BEGIN
    SELECT RAISE(ABORT, 'DELETE on hold is refused: its rows are kept as they were written');
END;
CREATE TRIGGER hold_is_not_replaced BEFORE INSERT ON hold BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: hold') WHERE EXISTS (
        SELECT 1 FROM hold WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: hold') WHERE EXISTS (
        SELECT 1 FROM hold WHERE entry_seq = NEW.entry_seq);
END;

-- One row ends a hold.
CREATE TABLE hold_resolution (
    hold_id     BLOB    PRIMARY KEY CHECK (length(hold_id) = 16),
    kind        TEXT    NOT NULL CHECK (kind IN ('captured', 'released', 'lapsed')),
    captured    INTEGER NOT NULL CHECK (captured >= 0),
    entry_seq   INTEGER NOT NULL,
    resolved_at INTEGER NOT NULL,
    CHECK ((kind = 'captured') = (captured > 0))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER hold_resolution_is_not_changed BEFORE UPDATE ON hold_resolution BEGIN
    SELECT RAISE(ABORT, 'UPDATE on hold_resolution is refused: its rows are kept as they were written');
END;
CREATE TRIGGER hold_resolution_is_not_dropped BEFORE DELETE ON hold_resolution BEGIN
    SELECT RAISE(ABORT, 'DELETE on hold_resolution is refused: its rows are kept as they were written');
END;
CREATE TRIGGER hold_resolution_is_not_replaced BEFORE INSERT ON hold_resolution BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: hold_resolution') WHERE EXISTS (
        SELECT 1 FROM hold_resolution WHERE hold_id = NEW.hold_id);
END;

CREATE TABLE usage (
    entry_seq  INTEGER PRIMARY KEY,
    account    TEXT    NOT NULL,
    hold_id    BLOB    CHECK (length(hold_id) = 16),
    purpose    TEXT    NOT NULL,
    feature    TEXT GENERATED ALWAYS AS (purpose ->> 'feature') STORED,
    project    TEXT GENERATED ALWAYS AS (purpose ->> 'project') STORED,
    session    TEXT GENERATED ALWAYS AS (purpose ->> 'session') STORED,
    credits    INTEGER NOT NULL CHECK (credits > 0),
    refunded   INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND credits),
    counted_at INTEGER NOT NULL,
    booked_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_account ON usage (account, entry_seq);
CREATE INDEX usage_counted ON usage (account, counted_at);
CREATE INDEX usage_session ON usage (account, session, entry_seq) WHERE session IS NOT NULL;
CREATE TRIGGER usage_terms_stay BEFORE UPDATE OF entry_seq, account, hold_id, purpose, credits, counted_at, booked_at
ON usage BEGIN
    SELECT RAISE(ABORT, 'UPDATE on usage is refused: its rows are kept as they were written');
END;
CREATE TRIGGER usage_is_not_dropped BEFORE DELETE ON usage BEGIN
    SELECT RAISE(ABORT, 'DELETE on usage is refused: its rows are kept as they were written');
END;
CREATE TRIGGER usage_is_not_replaced BEFORE INSERT ON usage BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: usage') WHERE EXISTS (
        SELECT 1 FROM usage WHERE entry_seq = NEW.entry_seq);
END;

-- Sums of spends by day in the account's zone; a spend without a project counts under the empty one.
CREATE TABLE usage_day (
    account  TEXT    NOT NULL,
    day      INTEGER NOT NULL,
    feature  TEXT    NOT NULL,
    project  TEXT    NOT NULL,
    spends   INTEGER NOT NULL CHECK (spends >= 0),
    units    INTEGER NOT NULL CHECK (units >= 0),
    spent    INTEGER NOT NULL CHECK (spent >= 0),
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND spent),
    PRIMARY KEY (account, day, feature, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_limit (
    id          BLOB    PRIMARY KEY CHECK (length(id) = 16),
    account     TEXT    NOT NULL,
    scope       TEXT    NOT NULL CHECK (scope IN ('account', 'feature', 'project', 'session')),
    scope_name  TEXT    NOT NULL CHECK ((scope = 'account') = (scope_name = '')),
    time_window TEXT    NOT NULL CHECK (time_window IN ('day', 'month', 'total')),
    action      TEXT    NOT NULL CHECK (action IN ('warn', 'refuse')),
    cap         INTEGER NOT NULL CHECK (cap > 0),
    alerts      TEXT    NOT NULL,
    set_at      INTEGER NOT NULL,
    removed_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX usage_limit_in_force ON usage_limit (account, scope, scope_name, time_window, action)
    WHERE removed_at IS NULL;
CREATE TRIGGER usage_limit_terms_stay BEFORE UPDATE OF id, account, scope, scope_name, time_window, action, cap, alerts, set_at
ON usage_limit BEGIN
    SELECT RAISE(ABORT, 'UPDATE on usage_limit is refused: its rows are kept as they were written');
END;
CREATE TRIGGER usage_limit_is_not_dropped BEFORE DELETE ON usage_limit BEGIN
    SELECT RAISE(ABORT, 'DELETE on usage_limit is refused: its rows are kept as they were written');
END;
CREATE TRIGGER usage_limit_is_not_replaced BEFORE INSERT ON usage_limit BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: usage_limit') WHERE EXISTS (
        SELECT 1 FROM usage_limit WHERE id = NEW.id);
END;

CREATE TABLE limit_window (
    limit_id  BLOB    NOT NULL CHECK (length(limit_id) = 16),
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL CHECK (ends_at > starts_at),
    held      INTEGER NOT NULL CHECK (held >= 0),
    spent     INTEGER NOT NULL CHECK (spent >= 0),
    alerted   INTEGER NOT NULL CHECK (alerted BETWEEN 0 AND 100),
    told      INTEGER NOT NULL CHECK (told IN (0, 1)),
    PRIMARY KEY (limit_id, starts_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_window_open ON limit_window (limit_id, ends_at);

CREATE TABLE account_profile (
    account        TEXT PRIMARY KEY,
    zone           TEXT NOT NULL,
    balance_alerts TEXT NOT NULL,
    told_credits   INTEGER,
    told_entry_seq INTEGER,
    told_lot_index INTEGER,
    CHECK ((told_credits IS NULL) = (told_entry_seq IS NULL) AND (told_credits IS NULL) = (told_lot_index IS NULL))
) STRICT, WITHOUT ROWID;
