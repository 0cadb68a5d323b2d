use alloy::{
    consensus::{ReceiptEnvelope, TxReceipt, proofs::calculate_receipt_root},
    eips::BlockId,
    primitives::{Bloom, BloomInput},
    providers::Provider,
};
use inspay_devchain::{Deployment, Devchain, DevchainError, Replay, transfer_request};
use inspay_primitives::{B256, U256};

use crate::{decoded, payments_in, payments_of, started, usdt};

async fn paid(chain: &Devchain, buyer: usize, whole: u64) -> B256 {
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    chain.transfer(token, chain.buyer(buyer), treasury, usdt(whole), None).await.unwrap()
}

/// What a careful follower checks of a block: its logs, receipts and header agree.
async fn proves_itself(chain: &Devchain, hash: B256) {
    let provider = chain.provider();
    let block = provider.get_block_by_hash(hash).await.unwrap().unwrap();
    let receipts = provider.get_block_receipts(BlockId::hash(hash)).await.unwrap().unwrap();
    let envelopes: Vec<ReceiptEnvelope> =
        receipts.iter().map(|receipt| receipt.inner.clone().into_primitives_receipt()).collect();
    assert_eq!(calculate_receipt_root(&envelopes), block.header.receipts_root);
    let bloom = envelopes.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.bloom());
    assert_eq!(bloom, block.header.logs_bloom);
    let parent = provider.get_block_by_hash(block.header.parent_hash).await.unwrap().unwrap();
    assert_eq!(parent.header.number + 1, block.header.number);
    for log in payments_in(chain, hash).await {
        assert!(bloom.contains_input(BloomInput::Raw(log.address().as_slice())));
        assert_eq!((log.block_hash, log.block_number), (Some(hash), Some(block.header.number)));
    }
}

#[tokio::test]
async fn a_payment_reorged_out_is_mined_again_in_another_block_at_another_log_index() {
    let chain = started().await;
    let payment = paid(&chain, 0, 5).await;
    let other = paid(&chain, 1, 6).await;
    let old_head = chain.mine(2).await.unwrap();
    let old = chain.mined(payment).await.unwrap();

    let replay = vec![Replay::same(other, 2), Replay::same(payment, 2)];
    let new_head = chain.reorg(4, replay).await.unwrap();

    let new = chain.mined(payment).await.unwrap();
    assert_eq!(new_head.number, old_head.number);
    assert_ne!(new_head.hash, old_head.hash);
    assert_ne!(new.block_hash, old.block_hash);
    assert_eq!(new.block_number.unwrap(), old.block_number.unwrap() + 2);
    assert_eq!((old.logs()[0].log_index, new.logs()[0].log_index), (Some(0), Some(1)));
    let logs = payments_in(&chain, new.block_hash.unwrap()).await;
    let hashes: Vec<_> = logs.iter().map(|log| log.transaction_hash.unwrap()).collect();
    assert_eq!(hashes, [other, payment]);
    for number in old.block_number.unwrap()..=new_head.number {
        let block = chain.block(number.into()).await.unwrap();
        proves_itself(&chain, block.hash).await;
    }
    let gone = chain.provider().get_block_by_hash(old.block_hash.unwrap()).await.unwrap();
    assert!(gone.is_none());
}

#[tokio::test]
async fn a_settled_payment_is_reorged_out_and_mined_again_later() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    let payment = paid(&chain, 0, 5).await;
    chain.mine(12).await.unwrap();
    let raw = chain.raw_transaction(payment).await.unwrap();

    chain.reorg(13, vec![]).await.unwrap();
    assert_eq!(chain.balance(token, treasury).await.unwrap(), U256::ZERO);
    assert!(chain.provider().get_transaction_receipt(payment).await.unwrap().is_none());
    chain.mine(3).await.unwrap();

    assert_eq!(chain.remine(&raw).await.unwrap(), payment);
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(5));
    assert_eq!(payments_of(&chain, token).await.len(), 1);
    proves_itself(&chain, chain.head().await.unwrap().hash).await;
}

#[tokio::test]
async fn a_payment_is_replaced_by_another_of_the_same_nonce() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, stranger, .. } = *chain.deployment();
    let payment = paid(&chain, 0, 5).await;
    let raw = chain.raw_transaction(payment).await.unwrap();
    let elsewhere = transfer_request(token, chain.buyer(0), stranger, usdt(5), None);
    chain.reorg(1, vec![Replay::fresh(elsewhere, 0)]).await.unwrap();
    assert_eq!(chain.balance(token, stranger).await.unwrap(), usdt(5));
    assert_eq!(chain.balance(token, treasury).await.unwrap(), U256::ZERO);
    chain.remine(&raw).await.unwrap_err();
}

#[tokio::test]
async fn a_reverted_snapshot_leaves_a_lower_head_and_a_payment_to_mine_again() {
    let chain = started().await;
    let token = chain.deployment().usdt;
    let snapshot = chain.snapshot().await.unwrap();
    let common = snapshot.block();
    let payment = paid(&chain, 0, 5).await;
    let first = chain.head().await.unwrap();
    let raw = chain.raw_transaction(payment).await.unwrap();
    chain.mine(3).await.unwrap();

    chain.revert(snapshot).await.unwrap();
    assert_eq!(chain.head().await.unwrap(), common);
    assert!(payments_of(&chain, token).await.is_empty());
    chain.mine(2).await.unwrap();
    chain.remine(&raw).await.unwrap();
    let head = chain.head().await.unwrap();
    assert_eq!(head.number, first.number + 2);
    let logs = payments_in(&chain, head.hash).await;
    assert_eq!(logs[0].transaction_hash, Some(payment));
    proves_itself(&chain, head.hash).await;
}

#[tokio::test]
async fn a_snapshot_whose_block_has_left_the_chain_is_refused_and_does_no_harm() {
    let chain = started().await;
    chain.mine(2).await.unwrap();
    let early = chain.snapshot().await.unwrap();
    chain.mine(2).await.unwrap();
    let late = chain.snapshot().await.unwrap();
    chain.revert(early).await.unwrap();
    let refused = chain.revert(late).await.unwrap_err();
    assert!(matches!(refused, DevchainError::SnapshotGone(_)), "{refused:?}");

    let before_reorg = chain.snapshot().await.unwrap();
    chain.reorg(2, vec![]).await.unwrap();
    let refused = chain.revert(before_reorg).await.unwrap_err();
    assert!(matches!(refused, DevchainError::SnapshotGone(_)), "{refused:?}");
    let head = chain.head().await.unwrap();
    assert_eq!(chain.mine(1).await.unwrap().number, head.number + 1);
}

#[tokio::test]
async fn a_rollback_only_shortens_the_chain() {
    let chain = started().await;
    let token = chain.deployment().usdt;
    let kept = paid(&chain, 0, 5).await;
    let below = chain.head().await.unwrap();
    let payment = paid(&chain, 0, 6).await;
    let raw = chain.raw_transaction(payment).await.unwrap();
    chain.mine(1).await.unwrap();
    assert_eq!(chain.rollback(2).await.unwrap(), below);
    chain.mined(kept).await.unwrap();
    assert_eq!(payments_of(&chain, token).await.len(), 1);
    chain.remine(&raw).await.unwrap();
    assert_eq!(payments_of(&chain, token).await.len(), 2);
    proves_itself(&chain, chain.head().await.unwrap().hash).await;
}

#[tokio::test]
async fn empty_blocks_are_replaced_by_other_empty_blocks() {
    let chain = started().await;
    let token = chain.deployment().usdt;
    paid(&chain, 0, 5).await;
    let paid_in = chain.head().await.unwrap();
    let old = chain.mine(3).await.unwrap();
    let new = chain.reorg(3, vec![]).await.unwrap();
    assert_eq!(new.number, old.number);
    assert_ne!(new.hash, old.hash);
    assert_eq!(chain.block(paid_in.number.into()).await.unwrap(), paid_in);
    assert_eq!(payments_of(&chain, token).await.len(), 1);
}

#[tokio::test]
async fn only_the_tip_is_replaced() {
    let chain = started().await;
    let payment = paid(&chain, 0, 5).await;
    let old = chain.head().await.unwrap();
    let new = chain.reorg(1, vec![Replay::same(payment, 0)]).await.unwrap();
    assert_eq!(new.number, old.number);
    assert_ne!(new.hash, old.hash);
    assert_eq!(chain.mined(payment).await.unwrap().block_hash, Some(new.hash));
}

#[tokio::test]
async fn a_branch_that_was_left_comes_back_with_the_same_blocks() {
    let chain = started().await;
    let Deployment { usdt: token, treasury, .. } = *chain.deployment();
    chain.mine(1).await.unwrap();
    let in_a = paid(&chain, 0, 5).await;
    paid(&chain, 1, 7).await;
    let head_a = chain.mine(1).await.unwrap();
    let branch_a = chain.save_branch().await.unwrap();
    let block_a = chain.mined(in_a).await.unwrap().block_hash.unwrap();
    assert_eq!(branch_a.head(), Some(head_a));

    // B is longer, and pays something else.
    chain.reorg(3, vec![]).await.unwrap();
    let in_b = paid(&chain, 2, 11).await;
    chain.mine(4).await.unwrap();
    let branch_b = chain.save_branch().await.unwrap();
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(11));

    assert_eq!(chain.return_to(&branch_a).await.unwrap(), head_a);
    assert_eq!(chain.mined(in_a).await.unwrap().block_hash, Some(block_a));
    assert!(chain.provider().get_transaction_receipt(in_b).await.unwrap().is_none());
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(12));
    let values: Vec<_> =
        payments_of(&chain, token).await.iter().map(|log| decoded(log).value).collect();
    assert_eq!(values, [usdt(5), usdt(7)]);
    proves_itself(&chain, block_a).await;

    // It grows, and B can come back in its turn.
    paid(&chain, 3, 13).await;
    proves_itself(&chain, chain.head().await.unwrap().hash).await;
    assert_eq!(Some(chain.return_to(&branch_b).await.unwrap()), branch_b.head());
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(11));
    paid(&chain, 3, 13).await;
    assert_eq!(chain.balance(token, treasury).await.unwrap(), usdt(24));
}

#[tokio::test]
async fn a_branch_kept_from_below_the_head_is_returned_to_by_shortening() {
    let chain = started().await;
    let kept = chain.save_branch().await.unwrap();
    paid(&chain, 0, 5).await;
    assert_eq!(Some(chain.return_to(&kept).await.unwrap()), kept.head());
    let token = chain.deployment().usdt;
    assert!(payments_of(&chain, token).await.is_empty());
}

#[tokio::test]
async fn a_replay_past_the_new_branch_is_refused() {
    let chain = started().await;
    let payment = paid(&chain, 0, 5).await;
    let refused = chain.reorg(1, vec![Replay::same(payment, 1)]).await.unwrap_err();
    assert!(matches!(refused, DevchainError::ReplayOutside { at: 1, depth: 1 }), "{refused:?}");
    let unknown = chain.reorg(1, vec![Replay::same(B256::ZERO, 0)]).await.unwrap_err();
    assert!(matches!(unknown, DevchainError::UnknownChainTx(_)), "{unknown:?}");
    chain.mined(payment).await.unwrap();
}
