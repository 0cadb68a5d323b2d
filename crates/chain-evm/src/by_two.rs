//! A block's set of transfers from two endpoints, where receipts prove nothing.
//!
//! Never answers with what only one endpoint says.

use inspay_ports::{ChainErrorKind, Header, WatchFilter};
use inspay_primitives::Transfer;

use crate::{pool::Pool, range::Question, reads, settings::EvmChainSettings};

/// What one endpoint says a block holds, references not read.
type Told = (usize, Vec<Transfer>);

/// The question about one block.
struct Asking<'a> {
    pool: &'a Pool,
    settings: &'a EvmChainSettings,
    header: &'a Header,
    filter: &'a WatchFilter,
    question: Question,
}

/// The set that two endpoints agree on, with its references read.
pub(crate) async fn transfers(
    pool: &Pool,
    settings: &EvmChainSettings,
    header: &Header,
    filter: &WatchFilter,
) -> Result<Vec<Transfer>, ChainErrorKind> {
    let Some(question) = Question::of_block(header, filter) else { return Ok(Vec::new()) };
    let asking = Asking { pool, settings, header, filter, question };
    let first: Vec<usize> = pool.first().into_iter().collect();
    // At once: what a buyer waits for is one round trip.
    let (one, other) = tokio::join!(asking.ask(&[]), asking.ask(&first));
    let one = one?;
    let other = match other {
        Ok(other) if other.0 != one.0 => other,
        // The order has changed meanwhile.
        Ok(_) | Err(_) => asking.ask(&[one.0]).await?,
    };
    let agreed = if one.1 == other.1 { one.1 } else { asking.third(one, other).await? };
    let read = pool.ask(async |endpoint| reads::references(&endpoint, settings, &agreed).await);
    let references = read.await?;
    let with_reference =
        |(transfer, reference)| Transfer { reference: Some(reference), ..transfer };
    Ok(agreed.into_iter().zip(references).map(with_reference).collect())
}

impl Asking<'_> {
    async fn ask(&self, not: &[usize]) -> Result<Told, ChainErrorKind> {
        let asked = self.pool.ask_besides(not, async |endpoint| {
            let told = self.question.ask(&endpoint, self.settings, self.filter).await?;
            Ok((endpoint.index(), told))
        });
        asked.await
    }

    /// Whom a third endpoint agrees with; the one it does not is wrong.
    async fn third(&self, one: Told, other: Told) -> Result<Vec<Transfer>, ChainErrorKind> {
        let number = self.header.block.number;
        let (few, many) = (one.1.len(), other.1.len());
        let differ = || {
            let text = format!("endpoints differ on block {number}: {few} and {many} transfers");
            ChainErrorKind::Contradiction(text)
        };
        if self.pool.endpoints().len() < 3 {
            return Err(differ());
        }
        let (_, told) = self.ask(&[one.0, other.0]).await.map_err(|_| differ())?;
        let (right, wrong) = if told == one.1 {
            (one.1, other)
        } else if told == other.1 {
            (other.1, one)
        } else {
            return Err(differ());
        };
        if let Some(endpoint) = self.pool.endpoints().get(wrong.0) {
            let (told, others) = (wrong.1.len(), right.len());
            endpoint.convict(&format!(
                "its {told} transfers in block {number} are not the {others} that two others tell of"
            ));
        }
        Ok(right)
    }
}
