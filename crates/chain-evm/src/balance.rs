//! A balance from two endpoints, where there are two: nothing else proves it.
//!
//! Never takes one of two answers that differ; a third endpoint tells who is wrong.

use inspay_ports::ChainErrorKind;
use inspay_primitives::{Address, B256, U256};

use crate::{pool::Pool, reads};

/// What one endpoint says somebody holds.
type Told = (usize, U256);

/// The question about one balance.
struct Asking<'a> {
    pool: &'a Pool,
    token: Address,
    holder: Address,
    block: B256,
}

/// What `holder` held at the end of a canonical block. Where there are several endpoints, two have to tell, as long as a
/// second one can: one that left a log out would tell the balance that fits.
pub(crate) async fn balance_of(
    pool: &Pool,
    token: Address,
    holder: Address,
    block: B256,
) -> Result<U256, ChainErrorKind> {
    let asking = Asking { pool, token, holder, block };
    if pool.endpoints().len() < 2 {
        return asking.ask(&[]).await.map(|(_, told)| told);
    }
    let first: Vec<usize> = pool.first().into_iter().collect();
    let (one, other) = tokio::join!(asking.ask(&[]), asking.ask(&first));
    let one = one?;
    let other = match other {
        Ok(other) if other.0 != one.0 => Ok(other),
        // The order has changed meanwhile.
        Ok(_) | Err(_) => asking.ask(&[one.0]).await,
    };
    match other {
        Ok(other) => {
            pool.heard_second();
            if one.1 == other.1 { Ok(one.1) } else { asking.third(one, other).await }
        }
        Err(kind) if pool.goes_without_second(&[one.0], &kind) => Ok(one.1),
        Err(kind) => Err(kind),
    }
}

impl Asking<'_> {
    async fn ask(&self, not: &[usize]) -> Result<Told, ChainErrorKind> {
        let asked = self.pool.ask_besides(not, async |endpoint| {
            let told = reads::balance_of(&endpoint, self.token, self.holder, self.block).await?;
            Ok((endpoint.index(), told))
        });
        asked.await
    }

    /// Whom a third endpoint agrees with; the one it does not is wrong.
    async fn third(&self, one: Told, other: Told) -> Result<U256, ChainErrorKind> {
        let Self { token, holder, block, .. } = self;
        let differ = || {
            ChainErrorKind::Contradiction(format!(
                "endpoints differ on what {holder} holds of {token} in block {block}: {} and {}",
                one.1, other.1
            ))
        };
        if self.pool.endpoints().len() < 3 {
            return Err(differ());
        }
        let (_, told) = self.ask(&[one.0, other.0]).await.map_err(|_| differ())?;
        let wrong = match told {
            told if told == one.1 => other,
            told if told == other.1 => one,
            _ => return Err(differ()),
        };
        if let Some(endpoint) = self.pool.endpoints().get(wrong.0) {
            endpoint.convict(&format!(
                "its balance {} of {holder} in block {block} is not the {told} that two others tell of",
                wrong.1
            ));
        }
        Ok(told)
    }
}
