-- Free plans that proven wallets have brought and the books may not have yet. A row goes once they have it.
CREATE TABLE free_plan_due (
    wallet     BLOB    PRIMARY KEY CHECK (length(wallet) = 20),
    account    TEXT    NOT NULL,
    credits    INTEGER NOT NULL CHECK (credits > 0),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
