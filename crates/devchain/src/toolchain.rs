//! Finds the Anvil binary of this machine and installs it once when it is absent.
//!
//! Never runs npm's wrapper script: a process between us and Anvil would survive us. Never changes
//! the lock file.

use std::{
    env,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::DevchainError;

/// The folder with our contracts and their npm lock file.
pub(crate) fn contracts_folder() -> Result<PathBuf, DevchainError> {
    if let Some(folder) = env::var_os("INSPAY_CONTRACTS") {
        return Ok(folder.into());
    }
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts");
    if is_contracts(&built_from) {
        return Ok(built_from.canonicalize().unwrap_or(built_from));
    }
    let here = env::current_dir().map_err(|_| DevchainError::ContractsMissing)?;
    here.ancestors()
        .map(|ancestor| ancestor.join("contracts"))
        .find(|folder| is_contracts(folder))
        .ok_or(DevchainError::ContractsMissing)
}

/// The Anvil to run: named by the environment, installed, installed now, or on the path.
///
/// Blocks while npm runs.
pub(crate) fn anvil_binary() -> Result<PathBuf, DevchainError> {
    if let Some(binary) = env::var_os("INSPAY_ANVIL") {
        return Ok(binary.into());
    }
    let installed = contracts_folder().and_then(|folder| {
        let binary = folder.join(anvil_within());
        if !is_installed(&folder, &binary) {
            install(&folder, &binary)?;
        }
        Ok(binary)
    });
    installed.or_else(|reason| on_path().ok_or(reason))
}

fn is_contracts(folder: &Path) -> bool {
    folder.join("package-lock.json").is_file() && folder.join("build.mjs").is_file()
}

/// npm writes its own record last. The binary alone may still be on its way: it is 44 megabytes.
fn is_installed(folder: &Path, binary: &Path) -> bool {
    folder.join("node_modules/.package-lock.json").is_file() && binary.is_file()
}

/// npm names its platform packages by Node's words for systems and Go's words for processors.
fn anvil_within() -> PathBuf {
    let system = match env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    PathBuf::from(format!("node_modules/@foundry-rs/anvil-{system}-{processor}/bin"))
        .join(format!("anvil{}", env::consts::EXE_SUFFIX))
}

fn on_path() -> Option<PathBuf> {
    let name = format!("anvil{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|it| it.is_file())
}

fn install(folder: &Path, binary: &Path) -> Result<(), DevchainError> {
    let missing =
        |reason: String| DevchainError::AnvilMissing { folder: folder.to_owned(), reason };
    // Test processes start together, and two npm runs in one folder destroy each other's work.
    let lock = File::create(folder.join(".install.lock"))
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| missing(error.to_string()))?;
    let mut reason = String::from("npm left no binary for this system");
    // A registry that mirrors only some platform packages makes `npm ci` refuse the lock file; the
    // versions in package.json are exact, so the second form installs the same.
    for arguments in [&["ci"][..], &["install", "--no-save", "--no-package-lock"][..]] {
        if is_installed(folder, binary) {
            break;
        }
        tracing::info!(folder = %folder.display(), "installing the contracts' npm packages");
        if let Err(error) = npm(folder, arguments) {
            reason = error;
        }
    }
    drop(lock);
    if is_installed(folder, binary) { Ok(()) } else { Err(missing(reason)) }
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() == io::ErrorKind::NotFound {
            true => "npm is not installed".to_owned(),
            false => error.to_string(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let errors = said.lines().filter_map(|line| line.strip_prefix("npm error ")).take(3);
    Err(format!("npm {}: {}", arguments.join(" "), errors.collect::<Vec<_>>().join("; ")))
}
