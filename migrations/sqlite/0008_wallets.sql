-- What buyers have shown: wallets that are proven for accounts, and chain transactions that they claim.

CREATE TABLE wallet_challenge (
    nonce      TEXT    PRIMARY KEY CHECK (octet_length(nonce) BETWEEN 8 AND 64),
    account    TEXT    NOT NULL,
    chain_id   INTEGER NOT NULL CHECK (chain_id >= 0),
    wallet     BLOB    NOT NULL CHECK (length(wallet) = 20),
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE TRIGGER wallet_challenge_facts_stay BEFORE UPDATE OF nonce, account, chain_id, wallet, issued_at, expires_at
ON wallet_challenge BEGIN
    SELECT RAISE(ABORT, 'UPDATE on wallet_challenge is refused: its rows are kept as they were written');
END;
CREATE TRIGGER wallet_challenge_is_used_once BEFORE UPDATE ON wallet_challenge WHEN OLD.used_at IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'UPDATE on wallet_challenge is refused: it is used');
END;
CREATE TRIGGER wallet_challenge_is_not_dropped BEFORE DELETE ON wallet_challenge BEGIN
    SELECT RAISE(ABORT, 'DELETE on wallet_challenge is refused: its rows are kept as they were written');
END;
CREATE TRIGGER wallet_challenge_is_not_replaced BEFORE INSERT ON wallet_challenge BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: wallet_challenge.nonce') WHERE EXISTS (
        SELECT 1 FROM wallet_challenge WHERE nonce = NEW.nonce);
END;

-- Kept for good: a wallet that is let go of may be proven again, by anybody who can.
CREATE TABLE wallet (
    id          INTEGER PRIMARY KEY,
    account     TEXT    NOT NULL,
    chain_id    INTEGER NOT NULL CHECK (chain_id >= 0),
    wallet      BLOB    NOT NULL CHECK (length(wallet) = 20),
    proof       TEXT    NOT NULL CHECK (proof IN ('key', 'contract')),
    linked_at   INTEGER NOT NULL,
    unlinked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX wallet_owner ON wallet (chain_id, wallet) WHERE unlinked_at IS NULL;
CREATE INDEX wallet_account ON wallet (account, id);
CREATE TRIGGER wallet_facts_stay BEFORE UPDATE OF id, rowid, _rowid_, oid, account, chain_id, wallet, proof, linked_at
ON wallet BEGIN
    SELECT RAISE(ABORT, 'UPDATE on wallet is refused: its rows are kept as they were written');
END;
CREATE TRIGGER wallet_is_let_go_once BEFORE UPDATE ON wallet WHEN OLD.unlinked_at IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'UPDATE on wallet is refused: it is let go of');
END;
CREATE TRIGGER wallet_is_not_dropped BEFORE DELETE ON wallet BEGIN
    SELECT RAISE(ABORT, 'DELETE on wallet is refused: its rows are kept as they were written');
END;
CREATE TRIGGER wallet_is_not_replaced BEFORE INSERT ON wallet BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: wallet.id') WHERE EXISTS (
        SELECT 1 FROM wallet WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: wallet.wallet') WHERE EXISTS (
        SELECT 1 FROM wallet WHERE chain_id = NEW.chain_id AND wallet = NEW.wallet AND unlinked_at IS NULL);
END;

CREATE TABLE payment_claim (
    tx_hash    BLOB    NOT NULL CHECK (length(tx_hash) = 32),
    order_id   BLOB    NOT NULL CHECK (length(order_id) = 16),
    chain_id   INTEGER NOT NULL CHECK (chain_id >= 0),
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (tx_hash, order_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_claim_order ON payment_claim (order_id, claimed_at);
CREATE TRIGGER payment_claim_is_not_changed BEFORE UPDATE ON payment_claim BEGIN
    SELECT RAISE(ABORT, 'UPDATE on payment_claim is refused: its rows are kept as they were written');
END;
CREATE TRIGGER payment_claim_is_not_dropped BEFORE DELETE ON payment_claim BEGIN
    SELECT RAISE(ABORT, 'DELETE on payment_claim is refused: its rows are kept as they were written');
END;
CREATE TRIGGER payment_claim_is_not_replaced BEFORE INSERT ON payment_claim BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: payment_claim.tx_hash') WHERE EXISTS (
        SELECT 1 FROM payment_claim WHERE tx_hash = NEW.tx_hash AND order_id = NEW.order_id);
END;

-- Transfers that something new was shown for since they were judged. A row goes once it was looked at.
CREATE TABLE rejudgement (
    transfer_id BLOB    PRIMARY KEY CHECK (length(transfer_id) = 32),
    chain_id    INTEGER NOT NULL CHECK (chain_id >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX rejudgement_chain ON rejudgement (chain_id);

-- By who paid, and by who might have been paid for.
CREATE INDEX transfer_payer ON transfer (chain_id, counterparty, position) WHERE direction = 'in';
CREATE INDEX orders_unpaid ON orders (account, in_time_until) WHERE state <> 'paid';
