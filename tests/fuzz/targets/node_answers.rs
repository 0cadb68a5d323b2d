//! Whatever a node answers, a range or a block is refused or holds followed transfers only; nothing breaks.
#![no_main]

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use inspay_chain_evm::{EvmChain, EvmChainSettings, Reply, ReplyLimits, Transport};
use inspay_ports::{Chain as _, ChainErrorKind, WatchFilter};
use inspay_primitives::{Address, ChainId};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const CHAIN: ChainId = ChainId(31_337);
const TOKEN: Address = Address::repeat_byte(0x70);
const TREASURY: Address = Address::repeat_byte(0x7e);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
});

/// Says which chain it is on, and the same bytes to every other question.
#[derive(Debug)]
struct Node {
    status: u16,
    body: Vec<u8>,
}

#[async_trait::async_trait]
impl Transport for Node {
    fn host(&self) -> String {
        "node".to_owned()
    }

    async fn post(
        &self,
        method: &str,
        _body: Vec<u8>,
        _limits: ReplyLimits,
    ) -> Result<Reply, ChainErrorKind> {
        if method == "eth_chainId" {
            let body = br#"{"jsonrpc":"2.0","id":0,"result":"0x7a69"}"#.to_vec();
            return Ok(Reply { status: 200, rest: None, body });
        }
        Ok(Reply { status: self.status, rest: None, body: self.body.clone() })
    }
}

fn filter() -> WatchFilter {
    WatchFilter {
        chain_id: CHAIN,
        tokens: BTreeSet::from([TOKEN]),
        treasuries: vec![(TREASURY, 0)],
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    let status = if first & 0x80 == 0 { 200 } else { 429 + u16::from(first & 0x7f) };
    RUNTIME.block_on(async {
        let node: Arc<dyn Transport> = Arc::new(Node { status, body: body.to_vec() });
        let settings = EvmChainSettings::new(CHAIN, Vec::new(), None);
        let chain = EvmChain::over(settings, vec![node]).expect("a chain");
        match first % 3 {
            0 => {
                let Ok(answer) = chain.range(1, 1_000, &filter()).await else { return };
                assert_eq!((answer.from, answer.to), (1, 1_000));
                for transfer in answer.transfers {
                    assert_eq!((transfer.key.token, transfer.key.treasury), (TOKEN, TREASURY));
                    assert!((1..=1_000).contains(&transfer.block.number));
                }
            }
            1 => {
                let Ok(header) = chain.head().await else { return };
                let Ok(proven) = chain.proven_block(&header, &filter()).await else { return };
                assert!(proven.transfers.iter().all(|transfer| transfer.block == header.block));
            }
            _ => {
                let Ok(headers) = chain.headers(5, 6).await else { return };
                let numbers: Vec<u64> = headers.iter().map(|header| header.block.number).collect();
                assert_eq!(numbers, [5, 6]);
            }
        }
    });
});
