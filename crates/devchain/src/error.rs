//! Why the local chain could not be started or would not do as told.

use std::{io, path::PathBuf};

use alloy::{
    primitives::B256,
    transports::{RpcError, TransportErrorKind},
};
use inspay_primitives::BlockRef;

/// What went wrong, with what to do about it where somebody can.
#[derive(Debug, thiserror::Error)]
pub enum DevchainError {
    /// No folder with our contracts' lock file.
    #[error(
        "the contracts folder was not found: run inside the repository or set INSPAY_CONTRACTS to it"
    )]
    ContractsMissing,
    /// `npm ci` did not leave an Anvil behind.
    #[error(
        "Anvil is not installed and could not be: {reason}. Run `npm ci` in {}, or set INSPAY_ANVIL to an Anvil binary",
        folder.display()
    )]
    AnvilMissing {
        /// Where it should have been installed.
        folder: PathBuf,
        /// What `npm ci` said.
        reason: String,
    },
    /// The operating system refused to start it.
    #[error("{} could not be started", program.display())]
    Spawn {
        /// What was to be started.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No directory could be made for what Anvil keeps on disk.
    #[error("a directory for Anvil's states could not be made")]
    States(#[source] io::Error),
    /// Anvil ended, or stayed silent, before it listened.
    #[error("Anvil did not come up; its last words: {output}")]
    NotListening {
        /// The last lines it printed.
        output: String,
    },
    /// The search for the binary was stopped with the runtime.
    #[error("the search for Anvil was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
    /// The node has fewer dev accounts than we asked for.
    #[error("the node has {found} dev accounts, too few for our buyers")]
    TooFewAccounts {
        /// How many it has.
        found: usize,
    },
    /// The state file holds a chain on which our contracts are not where they belong.
    #[error("{} holds a chain without our contracts: remove the file to begin anew", path.display())]
    ForeignState {
        /// The file.
        path: PathBuf,
    },
    /// The node refused a call, or did not answer.
    #[error("the local chain refused a call")]
    Rpc(#[from] RpcError<TransportErrorKind>),
    /// A call to a contract failed.
    #[error("a contract call failed")]
    Contract(#[from] alloy::contract::Error),
    /// An artifact could not be read.
    #[error("{} could not be read; if it is not there, run `npm ci` in {}", path.display(), folder.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The contracts folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An artifact has no bytecode.
    #[error("{} is not a contract artifact: {reason}", path.display())]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A chain transaction was mined and failed.
    #[error("chain transaction {0} was mined and reverted")]
    Reverted(B256),
    /// A chain transaction was not mined before the deadline.
    #[error("chain transaction {0} was not mined in time")]
    NotMined(B256),
    /// No such chain transaction, neither mined nor pending.
    #[error("chain transaction {0} is unknown to the node")]
    UnknownChainTx(B256),
    /// A block that the node should have was missing.
    #[error("the node has no block {0}")]
    NoBlock(String),
    /// The snapshot's block has left the chain. Anvil would say yes and be left without a head.
    #[error("the snapshot's block {} is no longer on the chain", .0.hash)]
    SnapshotGone(BlockRef),
    /// The branch and the chain share no block any more.
    #[error("the saved branch shares no block with the chain")]
    BranchUnrelated,
    /// A replayed transaction was put past the end of the new branch.
    #[error("block {at} of a new branch of {depth} blocks does not exist")]
    ReplayOutside {
        /// Where it was to go, counted from zero.
        at: u64,
        /// Length of the new branch.
        depth: u64,
    },
}
