//! The binary `inspay`: see [`inspay_gateway`].

use std::process::ExitCode;

fn main() -> ExitCode {
    inspay_gateway::main()
}
