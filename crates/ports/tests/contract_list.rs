//! No fact is written and then forgotten in the list that makes tests of them.

use std::{collections::BTreeSet, fs, path::Path};

/// Every public asynchronous function of the modules of facts, as `module::name`.
fn written(folder: &Path) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for file in fs::read_dir(folder).expect("the facts' folder") {
        let path = file.expect("a file").path();
        let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if ["mod", "macros", "picture"].contains(&module.as_str()) {
            continue;
        }
        let source = fs::read_to_string(&path).expect("the source");
        let names = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        let names = names.filter_map(|rest| rest.split('(').next());
        facts.extend(names.map(|name| format!("{module}::{name}")));
    }
    facts
}

/// Every fact that the macro lists.
fn listed(macros: &Path) -> BTreeSet<String> {
    let source = fs::read_to_string(macros).expect("the macro");
    let mut facts = BTreeSet::new();
    let mut module = String::new();
    for line in source.lines().map(str::trim) {
        let is_word = |word: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            !word.is_empty() && word.bytes().all(plain)
        };
        if let Some(group) = line.strip_suffix(" {").filter(|group| is_word(group)) {
            group.clone_into(&mut module);
        } else if is_word(line) {
            facts.insert(format!("{module}::{line}"));
        }
    }
    facts
}

#[test]
fn every_fact_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/contract/store");
    let written = written(&folder);
    assert!(written.len() > 50);
    assert_eq!(written, listed(&folder.join("macros.rs")));
}
