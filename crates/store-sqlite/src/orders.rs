//! Orders: made once, listed newest first.
//!
//! Terms never change; progress is the ledger's to write.

use inspay_ports::{NewOrder, OrderFilter, Page, StoreError};
use inspay_primitives::{AccountId, Address, AssetId, Order, OrderId, OrderProgress};

use crate::{
    codec::{self, Fields, all, order_columns},
    columns::{chain, units},
    error::wrong,
    session::{Session, hot},
    store::SqliteStore,
};

/// The account, if it is new.
const KNOW_ACCOUNT: &str = "INSERT INTO account (id, created_at) SELECT ?1, ?2 \
     WHERE NOT EXISTS (SELECT 1 FROM account WHERE id = ?1)";

const MAKE: &str = "INSERT INTO orders (id, account, quote_id, request_key, chain_id, token, decimals, treasury, \
         reference, due_base_units, list_base_units, tolerance_base_units, credits, price, rate, exact_amount_lane, \
         created_at, deadline, grace_seconds, credits_valid_days, in_time_until, state, received_base_units, \
         credited, closed, slot_held) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
         ?23, ?24, ?25, ?26)";

const BY_REQUEST: &str =
    concat!("SELECT ", order_columns!(), " FROM orders o WHERE o.request_key = ?1");

const BY_ID: &str = concat!("SELECT ", order_columns!(), " FROM orders o WHERE o.id = ?1");

const LIST: &str = concat!(
    "SELECT ",
    order_columns!(),
    " FROM orders o WHERE o.position < ?1 ORDER BY o.position DESC LIMIT ?2",
);

const LIST_OF_ACCOUNT: &str = concat!(
    "SELECT ",
    order_columns!(),
    " FROM orders o WHERE o.account = ?3 AND o.position < ?1 ORDER BY o.position DESC LIMIT ?2",
);

const HELD: &str = "SELECT COUNT(*) AS held FROM orders \
     WHERE chain_id = ?1 AND token = ?2 AND treasury = ?3 AND slot_held = 1";

const UNPAID: &str = "SELECT COUNT(*) AS unpaid FROM orders \
     WHERE account = ?1 AND state <> 'paid' AND (closed = 0 OR slot_held = 1)";

impl SqliteStore {
    pub(crate) async fn make_order(&self, order: NewOrder) -> Result<Order, StoreError> {
        let NewOrder { terms, request_key } = order;
        let mut session = self.begin("create an order").await?;
        if let Some(key) = &request_key
            && let Some(row) = session.row(hot(BY_REQUEST).bind(key.clone())).await?
        {
            let known = codec::order(&row).map_err(wrong(session.act));
            session.abandon().await?;
            return known;
        }
        let order = Order { progress: OrderProgress::new(terms.exact_amount_lane), terms };
        insert_order(&mut session, &order, request_key).await?;
        session.commit().await?;
        Ok(order)
    }

    pub(crate) async fn one_order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let single = self.read("read an order");
        let row = single.row(hot(BY_ID).bind(id.uuid())).await?;
        row.as_ref().map(codec::order).transpose().map_err(wrong(single.act))
    }

    pub(crate) async fn list_orders(
        &self,
        filter: OrderFilter,
        page: Page,
    ) -> Result<Vec<(i64, Order)>, StoreError> {
        let single = self.read("list orders");
        let before = page.after.unwrap_or(i64::MAX);
        let limit = i64::from(page.limit);
        let query = match filter.account {
            None => hot(LIST).bind(before).bind(limit),
            Some(account) => {
                hot(LIST_OF_ACCOUNT).bind(before).bind(limit).bind(account.to_string())
            }
        };
        let rows = single.rows(query).await?;
        all(&rows, |row| Ok((Fields(row).get("position")?, codec::order(row)?)))
            .map_err(wrong(single.act))
    }

    pub(crate) async fn count_unpaid_orders(&self, account: &AccountId) -> Result<u64, StoreError> {
        let single = self.read("count unpaid orders");
        let row = single.row(hot(UNPAID).bind(account.to_string())).await?;
        row.map_or(Ok(0), |row| Fields(&row).narrow("unpaid")).map_err(wrong(single.act))
    }

    pub(crate) async fn count_held_slots(
        &self,
        asset: AssetId,
        treasury: Address,
    ) -> Result<u64, StoreError> {
        let single = self.read("count held slots");
        let wrong = wrong(single.act);
        let query = hot(HELD)
            .bind(chain(asset.chain_id).map_err(&wrong)?)
            .bind(asset.contract.to_vec())
            .bind(treasury.to_vec());
        let row = single.row(query).await?;
        row.map_or(Ok(0), |row| Fields(&row).narrow("held")).map_err(&wrong)
    }
}

async fn insert_order(
    session: &mut Session,
    order: &Order,
    request_key: Option<String>,
) -> Result<(), StoreError> {
    let Order { terms, progress } = order;
    let account = terms.account.to_string();
    let know = hot(KNOW_ACCOUNT).bind(account.clone()).bind(terms.created_at.micros());
    session.run(know).await?;
    let make = hot(MAKE)
        .bind(terms.id.uuid())
        .bind(account)
        .bind(terms.quote.uuid())
        .bind(request_key)
        .bind(chain(terms.asset.chain_id).map_err(wrong(session.act))?)
        .bind(terms.asset.contract.to_vec())
        .bind(i64::from(terms.decimals))
        .bind(terms.treasury.to_vec())
        .bind(terms.reference.bytes().to_vec())
        .bind(units(terms.due_base_units))
        .bind(units(terms.list_base_units))
        .bind(units(terms.tolerance_base_units))
        .bind(terms.credits.micros())
        .bind(terms.price.to_string())
        .bind(terms.rate.to_string())
        .bind(terms.exact_amount_lane)
        .bind(terms.created_at.micros())
        .bind(terms.deadline.micros())
        .bind(i64::from(terms.grace_seconds))
        .bind(i64::from(terms.credits_valid_days))
        .bind(terms.in_time_until().micros())
        .bind(progress.state.as_str())
        .bind(units(progress.received_base_units))
        .bind(progress.credited.micros())
        .bind(progress.closed)
        .bind(progress.slot_held);
    session.run(make).await.map(drop)
}
