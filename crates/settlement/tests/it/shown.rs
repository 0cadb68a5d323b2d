//! What lies in suspense, and what its payer shows later.

use inspay_ledger::{FreePlanTerms, LotSource, SettlementKind};
use inspay_ports::{
    CaseFilter, CaseRecord, Linked, Page, PaymentClaim, TransferFilter, TransferView,
    WalletChallenge, WalletLinking, WalletProof, contract::samples,
};
use inspay_primitives::{
    AccountId, Address, CaseKind, Clock as _, OrderState, OrderTerms, Timestamp, Transfer, U256,
};

use crate::world::{World, applied, block, world};

const SOON: i64 = 600;

/// An odd payment that names no order.
fn odd(tx: u64) -> Transfer {
    let paid = samples::paid(tx, samples::usdt(), U256::from(1_234_567), block("a", 5), 0);
    Transfer { reference: Some(None), ..paid }
}

impl World {
    async fn mined(&mut self, transfer: Transfer) {
        self.follower.extend(vec![applied(block("a", 5), vec![transfer])]).await;
        self.empty("a", 6..=8).await;
    }

    async fn prove(&self, account: &AccountId, paid: &Transfer) {
        self.link(account, paid.counterparty, None).await;
    }

    async fn link(&self, account: &AccountId, wallet: Address, free_plan: Option<FreePlanTerms>) {
        let at: Timestamp = self.clock.now();
        let before = self.store.wallets(account).await.expect("reads").len();
        let nonce = format!("nonce {before} of {account}");
        let challenge = WalletChallenge {
            nonce: nonce.clone(),
            account: account.clone(),
            chain_id: samples::CHAIN,
            wallet,
            issued_at: at,
            expires_at: at.plus_seconds(SOON),
        };
        self.store.open_challenge(challenge).await.expect("keeps a challenge");
        let linking = WalletLinking { nonce, proof: WalletProof::Key, free_plan, at };
        let linked = self.store.link_wallet(linking).await.expect("links a wallet");
        assert!(matches!(linked, Linked::Proven(_)), "{linked:?}");
    }

    async fn let_go(&self, account: &AccountId, wallet: Address) {
        let unlinked =
            self.store.unlink_wallet(account, samples::CHAIN, wallet, self.clock.now()).await;
        assert!(unlinked.expect("lets go"));
    }

    async fn claim(&self, order: &OrderTerms, paid: &Transfer) {
        let claim = PaymentClaim {
            order: order.id,
            chain_id: paid.key.chain_id,
            tx_hash: paid.key.tx_hash,
            claimed_at: self.clock.now(),
        };
        assert!(self.store.claim_payment(claim).await.expect("keeps a claim"));
    }

    async fn view(&self) -> TransferView {
        let page = Page { after: None, limit: 2 };
        let mut views =
            self.store.transfers(TransferFilter::default(), page).await.expect("reads transfers");
        assert_eq!(views.len(), 1, "{views:?}");
        views.remove(0)
    }

    async fn kind(&self) -> SettlementKind {
        self.view().await.settlement.expect("is settled").kind
    }

    async fn cases(&self) -> Vec<CaseRecord> {
        let page = Page { after: None, limit: 10 };
        let filter = CaseFilter { kind: Some(CaseKind::Suspense), open_only: false };
        self.store.cases(filter, page).await.expect("reads cases")
    }
}

#[tokio::test]
async fn a_proven_wallet_takes_its_earlier_payment_out_of_suspense() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!((world.step().await.settled, world.kind().await), (1, SettlementKind::Suspense));
    world.prove(&order.account, &paid).await;
    assert_eq!(world.step().await.reopened, 1);
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.kind().await, SettlementKind::Order);
    assert_eq!(world.state(&order).await, OrderState::PartiallyPaid);
    assert!(!world.step().await.did_something());
    world.must_hold().await;
}

#[tokio::test]
async fn somebody_elses_wallet_changes_nothing() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    let stranger: AccountId = "stranger".parse().expect("an account");
    assert_ne!(stranger, order.account);
    world.prove(&stranger, &paid).await;
    assert!(!world.step().await.did_something());
    assert_eq!(world.kind().await, SettlementKind::Suspense);
    assert!(world.cases().await.is_empty());
}

#[tokio::test]
async fn a_claim_alone_opens_a_case_and_the_proof_of_the_wallet_resolves_it() {
    let mut world = world();
    let older = samples::ordered(&world.store, 1).await;
    let meant = samples::ordered_as(
        &world.store,
        OrderTerms { account: older.account.clone(), ..samples::terms(2) },
    )
    .await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    world.claim(&meant, &paid).await;
    assert_eq!(world.step().await.reopened, 1);
    assert_eq!((world.step().await.settled, world.kind().await), (1, SettlementKind::Suspense));
    let [case] = &world.cases().await[..] else { panic!("no case or several") };
    assert_eq!((&case.opening.subject, &case.resolved), (&paid.key.id().to_string(), &None));
    assert!(case.opening.body_json.contains(&meant.id.to_string()), "{}", case.opening.body_json);
    assert_eq!(world.view().await.settlement.expect("is settled").candidates, [meant.id]);
    assert!(!world.step().await.did_something(), "the same claim is not judged again");

    world.prove(&meant.account, &paid).await;
    assert_eq!(world.step().await.reopened, 1);
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.state(&meant).await, OrderState::PartiallyPaid);
    assert_eq!(world.state(&older).await, OrderState::Open, "the claim says which");
    let [case] = &world.cases().await[..] else { panic!("no case or several") };
    assert!(case.resolved.is_some());
    world.must_hold().await;
}

#[tokio::test]
async fn a_claim_before_the_payment_opens_the_case_when_it_is_settled() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.claim(&order, &paid).await;
    assert!(!world.step().await.did_something());
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.cases().await.len(), 1);
    let left = [5, 6, 7, 8].map(|number| block("a", number));
    world.follower.swap(&left, vec![applied(block("b", 5), Vec::new())]).await;
    assert_eq!(world.step().await.reversed, 1);
    assert!(world.cases().await[0].resolved.is_some(), "what is not on the chain is nobody's");
    world.must_hold().await;
}

#[tokio::test]
async fn what_leaves_the_chain_before_it_is_judged_again_is_taken_back_once() {
    let mut world = world();
    let order = samples::ordered(&world.store, 1).await;
    let paid = odd(9);
    world.mined(paid).await;
    assert_eq!(world.step().await.settled, 1);
    let left = [5, 6, 7, 8].map(|number| block("a", number));
    world.follower.swap(&left, vec![applied(block("b", 5), Vec::new())]).await;
    world.prove(&order.account, &paid).await;
    let report = world.step().await;
    assert_eq!((report.reversed, report.reopened), (1, 0));
    let again = samples::seen_again(paid, block("b", 6), 0);
    world.follower.extend(vec![applied(block("b", 6), vec![again])]).await;
    world.empty("b", 7..=9).await;
    assert_eq!(world.step().await.settled, 1);
    assert_eq!(world.kind().await, SettlementKind::Order);
    assert!(!world.step().await.did_something());
    world.must_hold().await;
}

#[tokio::test]
async fn a_free_plan_that_nobody_saw_granted_is_granted() {
    let mut world = world();
    world.empty("a", 5..=6).await;
    let newcomer: AccountId = "newcomer".parse().expect("an account");
    let another: AccountId = "another".parse().expect("an account");
    let (wallet, lapsed) = (Address::repeat_byte(0xaa), Address::repeat_byte(0xbb));
    let plan = samples::free_plan(7_000_000);
    world.link(&newcomer, wallet, Some(plan)).await;
    let late = FreePlanTerms { expires_at: world.clock.now(), ..plan };
    world.link(&another, lapsed, Some(late)).await;
    let report = world.step().await;
    assert_eq!((report.granted, report.refused), (1, 1));
    assert_eq!(world.store.free_plans_due(9).await.expect("reads"), []);
    assert_eq!(world.step().await.granted, 0);
    // The same wallet for another account, and the same once more.
    world.let_go(&newcomer, wallet).await;
    world.link(&another, wallet, Some(plan)).await;
    assert_eq!(world.step().await.granted, 0);
    world.let_go(&another, wallet).await;
    world.link(&newcomer, wallet, Some(plan)).await;
    let report = world.step().await;
    assert_eq!((report.granted, report.refused), (0, 0));
    assert_eq!(world.store.free_plans_due(9).await.expect("reads"), []);
    let lots = world.store.lots(&newcomer).await.expect("reads");
    let [lot] = lots.as_slice() else { panic!("{lots:?}") };
    assert_eq!((lot.source, lot.granted), (LotSource::FreePlan, plan.credits));
    assert!(world.store.account(&another).await.expect("reads").is_none());
    world.must_hold().await;
}

#[tokio::test]
async fn two_workers_grant_a_free_plan_once() {
    let mut world = world();
    world.empty("a", 5..=6).await;
    let other = world.neighbour();
    let newcomer: AccountId = "newcomer".parse().expect("an account");
    world.link(&newcomer, Address::repeat_byte(0xaa), Some(samples::free_plan(5))).await;
    let (one, two) = tokio::join!(world.step(), other.step());
    assert_eq!((one.refused, two.refused, one.granted + two.granted), (0, 0, 1));
    assert_eq!(world.store.lots(&newcomer).await.expect("reads").len(), 1);
    world.must_hold().await;
}
