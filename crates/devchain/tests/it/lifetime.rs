//! Anvil lives exactly as long as whoever started it.

use std::{
    env,
    io::{BufRead, BufReader, ErrorKind, Read, Write, stdout},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use inspay_devchain::{AnvilOptions, Devchain, DevchainError};

use crate::started;

const DEADLINE: Duration = Duration::from_secs(20);
const PORT: &str = "inspay-devchain port ";

/// A connection that ends when the process behind the port does.
fn connected(port: u16) -> TcpStream {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection
}

/// Waits for the other side's end, up to the deadline.
fn has_ended(mut connection: TcpStream) -> bool {
    match connection.read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn dropping_the_chain_ends_anvil_and_frees_the_port() {
    let chain = started().await;
    let (port, states) = (chain.port(), chain.states_path().to_owned());
    let connection = connected(port);
    assert!(states.is_dir());
    drop(chain);
    assert!(has_ended(connection));
    assert!(!states.exists(), "{}", states.display());
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
}

#[tokio::test]
async fn a_chain_can_be_started_again_on_its_port() {
    let port = started().await.port();
    let options = AnvilOptions { port: Some(port), ..AnvilOptions::default() };
    let chain = Devchain::start(options).await.unwrap();
    assert_eq!(chain.port(), port);
}

#[tokio::test]
async fn a_taken_port_is_reported_with_anvils_own_words() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = Some(taken.local_addr().unwrap().port());
    let refused = Devchain::start(AnvilOptions { port, ..AnvilOptions::default() }).await;
    // The words are handed over when the output ends, so Anvil's end has ended the watchdog too.
    let Err(DevchainError::NotListening { output }) = refused else {
        panic!("started on a taken port: {refused:?}");
    };
    assert!(output.contains("in use"), "{output}");
}

#[test]
fn a_killed_process_takes_anvil_along() {
    let mut helper = Command::new(env::current_exe().unwrap())
        .args(["--exact", "lifetime::helper_that_waits_to_be_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(helper.stdout.take().unwrap());
    let (port, states) = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            let (port, states) = line.rsplit_once(PORT)?.1.split_once(' ')?;
            Some((port.parse().ok()?, PathBuf::from(states)))
        })
        .expect("the helper names its port");
    let connection = connected(port);
    assert!(states.is_dir());
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(has_ended(connection));
    let ended = Instant::now();
    while states.exists() {
        assert!(ended.elapsed() < DEADLINE, "{} is left behind", states.display());
        thread::yield_now();
    }
}

#[test]
#[ignore = "a_killed_process_takes_anvil_along runs it in a process of its own"]
fn helper_that_waits_to_be_killed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let chain = runtime.block_on(started());
    println!("{PORT}{} {}", chain.port(), chain.states_path().display());
    stdout().flush().unwrap();
    // Ends with the parent at the latest, so that a failed test leaves nothing behind.
    let _ = std::io::stdin().read(&mut [0]);
    drop(chain);
}
