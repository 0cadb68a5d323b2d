-- Subscriptions: what is granted again in every cycle. That a cycle is granted once is the journal's rule.

CREATE TABLE subscription (
    id           BLOB    PRIMARY KEY CHECK (length(id) = 16),
    account      TEXT    NOT NULL,
    plan         TEXT    NOT NULL CHECK (plan <> ''),
    credits      INTEGER NOT NULL CHECK (credits > 0),
    every        TEXT    NOT NULL CHECK (every <> ''),
    keeps_cycles INTEGER NOT NULL CHECK (keeps_cycles >= 0),
    priority     INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 255),
    opened_at    INTEGER NOT NULL,
    next_cycle   INTEGER NOT NULL CHECK (next_cycle >= 0),
    next_at      INTEGER,
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX subscription_open ON subscription (account, plan) WHERE ended_at IS NULL;
CREATE INDEX subscription_account ON subscription (account, opened_at);
CREATE INDEX subscription_due ON subscription (next_at) WHERE next_at IS NOT NULL;
CREATE TRIGGER subscription_facts_stay
BEFORE UPDATE OF id, account, plan, credits, every, keeps_cycles, priority, opened_at ON subscription BEGIN
    SELECT RAISE(ABORT, 'UPDATE on subscription is refused: its rows are kept as they were written');
END;
CREATE TRIGGER subscription_goes_forward BEFORE UPDATE ON subscription
WHEN NEW.next_cycle < OLD.next_cycle OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS NOT OLD.ended_at) BEGIN
    SELECT RAISE(ABORT, 'UPDATE on subscription is refused: a cycle that was granted and an end stay');
END;
CREATE TRIGGER subscription_is_not_dropped BEFORE DELETE ON subscription BEGIN
    SELECT RAISE(ABORT, 'DELETE on subscription is refused: its rows are kept as they were written');
END;
CREATE TRIGGER subscription_is_not_replaced BEFORE INSERT ON subscription BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: subscription.id') WHERE EXISTS (
        SELECT 1 FROM subscription WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: subscription.account') WHERE EXISTS (
        SELECT 1 FROM subscription WHERE account = NEW.account AND plan = NEW.plan AND ended_at IS NULL);
END;
