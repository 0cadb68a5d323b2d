//! Comparing endpoints with one another and with what is proven, and naming the one that is wrong.
//!
//! Never convicts anybody on one word against another: it takes a proof, or more endpoints than stand
//! against it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use inspay_ports::{ChainErrorKind, ProvenBlock, TaggedBlocks, WatchFilter};
use inspay_primitives::{B256, BlockRef, Transfer};
use tokio::time::{Instant, timeout};

use crate::{
    endpoint::Endpoint, health::Standing, pool::Pool, range::Question, reads,
    settings::EvmChainSettings,
};

/// How long an endpoint has to say what it has; one that takes longer is not compared.
const WORD_MAX: Duration = Duration::from_secs(2);
/// How often the endpoints' finalized blocks are compared.
const COMPARED_EVERY: Duration = Duration::from_secs(30);

/// What a vote about one block came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Vote {
    /// These are against more than stand with them.
    Minority(Vec<usize>),
    /// As many stand for one as for the other.
    Split,
}

/// Who is in the minority of those that told a hash.
fn vote(told: &[(usize, B256)]) -> Vote {
    let mut camps: BTreeMap<B256, usize> = BTreeMap::new();
    for (_, hash) in told {
        *camps.entry(*hash).or_default() += 1;
    }
    let most = camps.values().copied().max().unwrap_or_default();
    let mut largest = camps.iter().filter(|(_, count)| **count == most);
    match (largest.next(), largest.next()) {
        (Some((winner, _)), None) => {
            let minority = told.iter().filter(|(_, hash)| hash != winner);
            Vote::Minority(minority.map(|(place, _)| *place).collect())
        }
        (None, _) => Vote::Minority(Vec::new()),
        (Some(_), Some(_)) => Vote::Split,
    }
}

impl Pool {
    /// The `safe` and the `finalized` block; now and then all endpoints are asked whether they have the same
    /// finalized block.
    ///
    /// # Errors
    ///
    /// [`ChainErrorKind::Contradiction`] where the endpoint that told is alone with its block, or as many
    /// have another one.
    pub(crate) async fn tags(
        &self,
        settings: &EvmChainSettings,
    ) -> Result<TaggedBlocks, ChainErrorKind> {
        let asked = self
            .ask(async |endpoint| Ok((endpoint.index(), reads::tags(&endpoint, settings).await?)));
        let (source, tagged) = asked.await?;
        if let Some(finalized) = tagged.finalized
            && self.compares_finalized(Instant::now())
        {
            self.compare_finalized(settings, source, finalized).await?;
        }
        Ok(tagged)
    }

    async fn compare_finalized(
        &self,
        settings: &EvmChainSettings,
        source: usize,
        finalized: BlockRef,
    ) -> Result<(), ChainErrorKind> {
        let number = finalized.number;
        let others = self.witnesses().into_iter().filter(|other| other.index() != source);
        let asked = others.map(|other| async move {
            other.confirm_chain().await.ok()?;
            let numbers = [number];
            let headers = reads::headers_at(&other, settings, &numbers);
            let told = timeout(WORD_MAX, headers).await.ok()?.ok()?.pop()?;
            Some((other.index(), told.block.hash))
        });
        let mut told = vec![(source, finalized.hash)];
        told.extend(join_all(asked).await.into_iter().flatten());
        let text = |place: usize| {
            let hash = told.iter().find(|(other, _)| *other == place).map(|(_, hash)| *hash);
            let hash = hash.unwrap_or_default();
            format!("it has {hash} as block {number}, which is finalized; most others have not")
        };
        match vote(&told) {
            Vote::Minority(minority) => {
                for endpoint in self.endpoints().iter().filter(|e| minority.contains(&e.index())) {
                    endpoint.convict(&text(endpoint.index()));
                    self.heads().pardon(endpoint.index());
                }
                if minority.contains(&source) {
                    let text =
                        format!("block {number} is finalized on another branch than most have");
                    return Err(ChainErrorKind::Contradiction(text));
                }
                Ok(())
            }
            Vote::Split => {
                let hosts = told.iter().filter_map(|(place, hash)| {
                    Some(format!("{} has {hash}", self.endpoints().get(*place)?.host()))
                });
                let hosts = hosts.collect::<Vec<_>>().join(", ");
                let text =
                    format!("endpoints differ on block {number}, which is finalized: {hosts}");
                tracing::warn!(
                    chain.id = settings.chain_id.0,
                    text,
                    "it cannot be told who is wrong"
                );
                // Asked again at the next look: until it is known, nothing more is finalized.
                self.compare_again();
                Err(ChainErrorKind::Contradiction(text))
            }
        }
    }

    /// Those whose word can be asked for now.
    pub(crate) fn witnesses(&self) -> Vec<Arc<Endpoint>> {
        let now = Instant::now();
        let is_ready = |endpoint: &&Arc<Endpoint>| endpoint.standing(now) == Standing::Ready;
        self.endpoints().iter().filter(is_ready).cloned().collect()
    }

    /// Asks every endpoint for the logs of a proven block, and names those that tell others.
    pub(crate) async fn compare_with_proof(
        &self,
        settings: &EvmChainSettings,
        proven: &ProvenBlock,
        filter: &WatchFilter,
    ) {
        let number = proven.header.block.number;
        let Some(question) = Question::new(number, number, filter) else { return };
        let question = &question;
        let asked = self.witnesses().into_iter().map(|endpoint| async move {
            let told = timeout(WORD_MAX, question.ask(&endpoint, settings, filter)).await;
            (endpoint, told)
        });
        let unread = |transfer: &Transfer| Transfer { reference: None, ..*transfer };
        let expected: Vec<Transfer> = proven.transfers.iter().map(unread).collect();
        for (endpoint, told) in join_all(asked).await {
            let Ok(Ok(told)) = told else { continue };
            let missing = expected.iter().filter(|transfer| !told.contains(transfer)).count();
            let more = told.iter().filter(|transfer| !expected.contains(transfer)).count();
            if missing > 0 || more > 0 {
                endpoint.convict(&format!(
                    "its logs of block {number} lack {missing} transfers that receipts prove, and have {more} that they do not"
                ));
            }
        }
    }

    fn compares_finalized(&self, now: Instant) -> bool {
        if self.endpoints().len() < 2 {
            return false;
        }
        let mut compared_at = self.compared_at();
        let is_due = compared_at.is_none_or(|at| at + COMPARED_EVERY <= now);
        if is_due {
            *compared_at = Some(now);
        }
        is_due
    }

    fn compare_again(&self) {
        *self.compared_at() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minority_is_less_than_any_other_camp() {
        let cases: &[(&[u8], Vote)] = &[
            (&[], Vote::Minority(vec![])),
            (&[1], Vote::Minority(vec![])),
            (&[1, 1, 1], Vote::Minority(vec![])),
            (&[1, 2], Vote::Split),
            (&[2, 1, 1], Vote::Minority(vec![0])),
            (&[1, 2, 1, 3], Vote::Minority(vec![1, 3])),
            (&[1, 2, 1, 2], Vote::Split),
            (&[1, 2, 3], Vote::Split),
        ];
        for (hashes, expected) in cases {
            let told: Vec<_> =
                hashes.iter().map(|hash| B256::repeat_byte(*hash)).enumerate().collect();
            assert_eq!(vote(&told), *expected, "{hashes:?}");
        }
    }
}
