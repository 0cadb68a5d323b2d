//! A contract wallet's word on a signature, from two endpoints where there are two: nothing proves it.
//!
//! Never takes a yes that another endpoint denies.

use inspay_ports::ChainErrorKind;
use inspay_primitives::{Address, B256};

use crate::{pool::Pool, reads};

/// Whether the contract takes the signature for its own.
pub(crate) async fn accepts(
    pool: &Pool,
    wallet: Address,
    digest: B256,
    signature: &[u8],
) -> Result<bool, ChainErrorKind> {
    let ask = async |not: &[usize]| {
        let asked = pool.ask_besides(not, async |endpoint| {
            let told = reads::accepts_signature(&endpoint, wallet, digest, signature).await?;
            Ok((endpoint.index(), told))
        });
        asked.await
    };
    let (first, accepted) = ask(&[]).await?;
    if !accepted || pool.endpoints().len() < 2 {
        return Ok(accepted);
    }
    let (_, again) = ask(&[first]).await?;
    if again {
        Ok(true)
    } else {
        let why = format!("endpoints differ on whether {wallet} takes a signature for its own");
        Err(ChainErrorKind::Contradiction(why))
    }
}
