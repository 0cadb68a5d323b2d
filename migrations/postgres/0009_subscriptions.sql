-- Subscriptions: what is granted again in every cycle. That a cycle is granted once is the journal's rule.

CREATE TABLE subscription (
    id           UUID   PRIMARY KEY,
    account      TEXT   COLLATE "C" NOT NULL,
    plan         TEXT   COLLATE "C" NOT NULL CHECK (plan <> ''),
    credits      BIGINT NOT NULL CHECK (credits > 0),
    every        TEXT   NOT NULL CHECK (every <> ''),
    keeps_cycles BIGINT NOT NULL CHECK (keeps_cycles >= 0),
    priority     BIGINT NOT NULL CHECK (priority BETWEEN 0 AND 255),
    opened_at    BIGINT NOT NULL,
    next_cycle   BIGINT NOT NULL CHECK (next_cycle >= 0),
    next_at      BIGINT,
    ended_at     BIGINT
);
CREATE UNIQUE INDEX subscription_open ON subscription (account, plan) WHERE ended_at IS NULL;
CREATE INDEX subscription_account ON subscription (account, opened_at);
CREATE INDEX subscription_due ON subscription (next_at) WHERE next_at IS NOT NULL;
CREATE TRIGGER subscription_facts_stay
    BEFORE UPDATE OF id, account, plan, credits, every, keeps_cycles, priority, opened_at ON subscription
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER subscription_goes_forward BEFORE UPDATE ON subscription
    FOR EACH ROW WHEN (NEW.next_cycle < OLD.next_cycle
        OR (OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at))
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER subscription_stays BEFORE DELETE ON subscription
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER subscription_all_stay BEFORE TRUNCATE ON subscription
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
