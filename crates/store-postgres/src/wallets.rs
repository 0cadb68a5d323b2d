//! What buyers have shown: proven wallets and claims.

use async_trait::async_trait;
use inspay_ledger::{FreePlanDue, FreePlanTerms, TransferRecord};
use inspay_ports::{
    Linked, PaymentClaim, StoreError, StoreErrorKind, WalletChallenge, WalletLinking, WalletProof,
    WalletRecord, WalletStore,
};
use inspay_primitives::{AccountId, Address, ChainId, OrderId, Timestamp, TransferId};
use sqlx::postgres::PgRow;

use crate::{
    codec::{
        self, Fields, Read, all, transfer_columns, transfer_with_settlement, waits_for_nothing,
    },
    columns::chain,
    error::wrong,
    session::{Session, Statement},
    store::PostgresStore,
};

const OPEN: &str = "INSERT INTO wallet_challenge (nonce, account, chain_id, wallet, issued_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";

const CHALLENGE: &str = "SELECT nonce, account, chain_id, wallet, issued_at, expires_at FROM wallet_challenge \
     WHERE nonce = $1";

const USE: &str = "UPDATE wallet_challenge SET used_at = $2 WHERE nonce = $1 AND used_at IS NULL \
     AND expires_at > $2 RETURNING nonce, account, chain_id, wallet, issued_at, expires_at";

macro_rules! select_wallets {
    () => {
        "SELECT id, account, chain_id, wallet, proof, linked_at, unlinked_at FROM wallet "
    };
}

const OWNED: &str =
    concat!(select_wallets!(), "WHERE chain_id = $1 AND wallet = $2 AND unlinked_at IS NULL");

const OF_ACCOUNT: &str = concat!(select_wallets!(), "WHERE account = $1 ORDER BY id");

const LINK: &str = "INSERT INTO wallet (account, chain_id, wallet, proof, linked_at) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (chain_id, wallet) WHERE unlinked_at IS NULL DO NOTHING";

const UNLINK: &str = "UPDATE wallet SET unlinked_at = $4 WHERE chain_id = $1 AND wallet = $2 \
     AND unlinked_at IS NULL AND account = $3";

/// What is in suspense or not settled yet, of transfers `t`: what is attributed stays so.
macro_rules! not_attributed {
    () => {
        "t.direction = 'in' AND t.canonical AND (NOT t.settled OR EXISTS (\
             SELECT 1 FROM settlement s WHERE s.transfer_id = t.id AND s.generation = t.generation \
             AND s.kind = 'suspense'))"
    };
}

macro_rules! once {
    () => {
        " ON CONFLICT (transfer_id) DO NOTHING"
    };
}

const REJUDGE_PAID_BY: &str = concat!(
    "INSERT INTO rejudgement (transfer_id, chain_id) SELECT t.id, t.chain_id FROM transfer t \
     WHERE t.chain_id = $1 AND t.counterparty = $2 AND ",
    waits_for_nothing!("t"),
    " AND ",
    not_attributed!(),
    " UNION ALL SELECT t.id, t.chain_id FROM transfer t \
     WHERE t.chain_id = $1 AND t.needs_work AND NOT t.settled AND t.counterparty = $2 AND ",
    not_attributed!(),
    once!(),
);

const REJUDGE_CLAIMED: &str = concat!(
    "INSERT INTO rejudgement (transfer_id, chain_id) SELECT t.id, t.chain_id FROM transfer t \
     WHERE t.id BETWEEN $1 AND $2 AND t.tx_hash = $3 AND t.chain_id = $4 AND ",
    not_attributed!(),
    once!(),
);

const CLAIM: &str = "INSERT INTO payment_claim (tx_hash, order_id, chain_id, claimed_at) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (tx_hash, order_id) DO NOTHING";

const CLAIMS: &str = "SELECT tx_hash, order_id, chain_id, claimed_at FROM payment_claim \
     WHERE order_id = $1 ORDER BY claimed_at, tx_hash";

const TO_REJUDGE: &str = concat!(
    "SELECT ",
    transfer_columns!(),
    " FROM rejudgement r CROSS JOIN ",
    transfer_with_settlement!(),
    " WHERE r.chain_id = $1 AND t.id = r.transfer_id AND t.settled AND NOT t.needs_work LIMIT $2",
);

const BRING_FREE_PLAN: &str = "INSERT INTO free_plan_due (wallet, account, credits, expires_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (wallet) DO NOTHING";

const FREE_PLANS_DUE: &str =
    "SELECT wallet, account, credits, expires_at FROM free_plan_due ORDER BY wallet LIMIT $1";

const FREE_PLANS_GRANTED: &str = "DELETE FROM free_plan_due WHERE wallet = ANY($1::bytea[])";

const REJUDGED: &str = "DELETE FROM rejudgement WHERE transfer_id = ANY($1::bytea[])";

#[async_trait]
impl WalletStore for PostgresStore {
    async fn open_challenge(&self, challenge: WalletChallenge) -> Result<(), StoreError> {
        let single = self.paged("keep a challenge");
        let query = sqlx::query(OPEN)
            .bind(challenge.nonce)
            .bind(challenge.account.to_string())
            .bind(chain(challenge.chain_id).map_err(wrong(single.act))?)
            .bind(challenge.wallet.to_vec())
            .bind(challenge.issued_at.micros())
            .bind(challenge.expires_at.micros());
        single.run(query).await.map(drop)
    }

    async fn challenge(&self, nonce: &str) -> Result<Option<WalletChallenge>, StoreError> {
        let single = self.paged("read a challenge");
        let row = single.row(sqlx::query(CHALLENGE).bind(nonce.to_owned())).await?;
        row.as_ref().map(challenge).transpose().map_err(wrong(single.act))
    }

    async fn link_wallet(&self, linking: WalletLinking) -> Result<Linked, StoreError> {
        let mut session = self.begin_paged("link a wallet").await?;
        let wrong = wrong(session.act);
        let query = sqlx::query(USE).bind(linking.nonce).bind(linking.at.micros());
        let Some(used) = first(&mut session, query).await? else {
            session.abandon().await?;
            return Ok(Linked::Spent);
        };
        let used = challenge(&used).map_err(&wrong)?;
        let chain_number = chain(used.chain_id).map_err(&wrong)?;
        let owned = || sqlx::query(OWNED).bind(chain_number).bind(used.wallet.to_vec());
        let mut owner = first(&mut session, owned()).await?;
        if owner.is_none() {
            let link = sqlx::query(LINK)
                .bind(used.account.to_string())
                .bind(chain_number)
                .bind(used.wallet.to_vec())
                .bind(linking.proof.as_str())
                .bind(linking.at.micros());
            session.run(link).await?;
            let rejudge =
                sqlx::query(REJUDGE_PAID_BY).bind(chain_number).bind(used.wallet.to_vec());
            session.run(rejudge).await?;
            owner = first(&mut session, owned()).await?;
        }
        let Some(owner) = owner else {
            let why = "a wallet that was linked is not there".to_owned();
            return Err(wrong(StoreErrorKind::Corrupt(why)));
        };
        let record = wallet(&owner).map_err(&wrong)?;
        let is_own = record.account == used.account;
        if let Some(terms) = linking.free_plan.filter(|_| is_own) {
            let bring = sqlx::query(BRING_FREE_PLAN)
                .bind(used.wallet.to_vec())
                .bind(used.account.to_string())
                .bind(terms.credits.micros())
                .bind(terms.expires_at.micros());
            session.run(bring).await?;
        }
        session.commit().await?;
        Ok(if is_own { Linked::Proven(record) } else { Linked::BelongsToAnother })
    }

    async fn unlink_wallet(
        &self,
        account: &AccountId,
        chain_id: ChainId,
        wallet: Address,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let single = self.paged("let go of a wallet");
        let query = sqlx::query(UNLINK)
            .bind(chain(chain_id).map_err(wrong(single.act))?)
            .bind(wallet.to_vec())
            .bind(account.to_string())
            .bind(at.micros());
        Ok(single.run(query).await? > 0)
    }

    async fn wallets(&self, account: &AccountId) -> Result<Vec<WalletRecord>, StoreError> {
        let single = self.paged("list wallets");
        let rows = single.rows(sqlx::query(OF_ACCOUNT).bind(account.to_string())).await?;
        all(&rows, wallet).map_err(wrong(single.act))
    }

    async fn wallet_owner(
        &self,
        chain_id: ChainId,
        of: Address,
    ) -> Result<Option<AccountId>, StoreError> {
        let single = self.paged("find a wallet's account");
        let wrong = wrong(single.act);
        let query = sqlx::query(OWNED).bind(chain(chain_id).map_err(&wrong)?).bind(of.to_vec());
        let row = single.row(query).await?;
        row.map(|row| Fields(&row).account("account")).transpose().map_err(&wrong)
    }

    async fn claim_payment(&self, claim: PaymentClaim) -> Result<bool, StoreError> {
        let mut session = self.begin_paged("keep a claim").await?;
        let chain_number = chain(claim.chain_id).map_err(wrong(session.act))?;
        let keep = sqlx::query(CLAIM)
            .bind(claim.tx_hash.to_vec())
            .bind(claim.order.uuid())
            .bind(chain_number)
            .bind(claim.claimed_at.micros());
        let is_new = session.run(keep).await? > 0;
        let ids = TransferId::range_of(&claim.tx_hash);
        let rejudge = sqlx::query(REJUDGE_CLAIMED)
            .bind(ids.start().digest().to_vec())
            .bind(ids.end().digest().to_vec())
            .bind(claim.tx_hash.to_vec())
            .bind(chain_number);
        session.run(rejudge).await?;
        session.commit().await?;
        Ok(is_new)
    }

    async fn payment_claims(&self, order: OrderId) -> Result<Vec<PaymentClaim>, StoreError> {
        let single = self.paged("list claims");
        let rows = single.rows(sqlx::query(CLAIMS).bind(order.uuid())).await?;
        all(&rows, claim).map_err(wrong(single.act))
    }

    async fn transfers_to_rejudge(
        &self,
        chain_id: ChainId,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let single = self.paged("find transfers to judge again");
        let wrong = wrong(single.act);
        let query =
            sqlx::query(TO_REJUDGE).bind(chain(chain_id).map_err(&wrong)?).bind(i64::from(limit));
        all(&single.rows(query).await?, codec::transfer_record).map_err(&wrong)
    }

    async fn rejudged(&self, transfers: Vec<TransferId>) -> Result<(), StoreError> {
        let single = self.paged("note what was judged again");
        let ids: Vec<Vec<u8>> = transfers.iter().map(|id| id.digest().to_vec()).collect();
        single.run(sqlx::query(REJUDGED).bind(ids)).await.map(drop)
    }

    async fn free_plans_due(&self, limit: u32) -> Result<Vec<FreePlanDue>, StoreError> {
        let single = self.paged("find free plans to grant");
        let rows = single.rows(sqlx::query(FREE_PLANS_DUE).bind(i64::from(limit))).await?;
        all(&rows, free_plan).map_err(wrong(single.act))
    }

    async fn note_free_plans(&self, wallets: Vec<Address>) -> Result<(), StoreError> {
        let single = self.paged("note granted free plans");
        let wallets: Vec<Vec<u8>> = wallets.iter().map(|wallet| wallet.to_vec()).collect();
        single.run(sqlx::query(FREE_PLANS_GRANTED).bind(wallets)).await.map(drop)
    }
}

async fn first(session: &mut Session, query: Statement<'_>) -> Result<Option<PgRow>, StoreError> {
    Ok(session.rows(query).await?.into_iter().next())
}

fn challenge(row: &PgRow) -> Read<WalletChallenge> {
    let fields = Fields(row);
    Ok(WalletChallenge {
        nonce: fields.get("nonce")?,
        account: fields.account("account")?,
        chain_id: fields.narrow("chain_id").map(ChainId)?,
        wallet: fields.address("wallet")?,
        issued_at: fields.time("issued_at")?,
        expires_at: fields.time("expires_at")?,
    })
}

fn wallet(row: &PgRow) -> Read<WalletRecord> {
    let fields = Fields(row);
    Ok(WalletRecord {
        id: fields.get("id")?,
        account: fields.account("account")?,
        chain_id: fields.narrow("chain_id").map(ChainId)?,
        wallet: fields.address("wallet")?,
        proof: fields.text("proof", WalletProof::parse)?,
        linked_at: fields.time("linked_at")?,
        unlinked_at: fields.get::<Option<i64>>("unlinked_at")?.map(Timestamp::from_micros),
    })
}

fn free_plan(row: &PgRow) -> Read<FreePlanDue> {
    let fields = Fields(row);
    let (credits, expires_at) = (fields.credits("credits")?, fields.time("expires_at")?);
    Ok(FreePlanDue {
        wallet: fields.address("wallet")?,
        account: fields.account("account")?,
        terms: FreePlanTerms { credits, expires_at },
    })
}

fn claim(row: &PgRow) -> Read<PaymentClaim> {
    let fields = Fields(row);
    Ok(PaymentClaim {
        order: fields.get("order_id").map(OrderId::from_uuid)?,
        chain_id: fields.narrow("chain_id").map(ChainId)?,
        tx_hash: fields.hash("tx_hash")?,
        claimed_at: fields.time("claimed_at")?,
    })
}
