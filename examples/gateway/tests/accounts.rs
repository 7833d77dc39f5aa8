//! The store, looked after by the program itself.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    run_with(&[], arguments)
}

fn run_with(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
    program.arg("accounts").args(arguments);
    program.env_remove("MAC_SEAL_KEY");
    program.envs(environment.iter().copied()).output().unwrap()
}

fn out(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !text.contains("CANARY") && !told.contains("CANARY"),
        "{text} {told}"
    );
    text
}

fn store(dir: &Path, name: &str) -> String {
    format!("file:{}", dir.join(name).display())
}

fn seeds(dir: &Path, text: &str) -> String {
    let path = dir.join("seeds.json");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn tokens_are_taken_over_once_and_accounts_listed_moved_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (store(dir.path(), "one"), store(dir.path(), "other"));
    let file = seeds(dir.path(), "{\"li\": \"CANARY-1\", \"wang\": \"CANARY-2\"}");
    let import = [
        "import",
        "--store",
        &one,
        "--client-id",
        "c",
        "--json",
        &file,
    ];
    for state in ["imported", "already known"] {
        let done = run(&import);
        assert!(done.status.success(), "{done:?}");
        assert_eq!(out(&done).matches(state).count(), 2);
    }
    let listed = out(&run(&["list", "--store", &one, "--json"]));
    let lines: Vec<serde_json::Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (lines.len(), &lines[0]["account"], &lines[0]["state"]),
        (2, &"li".into(), &"active".into())
    );

    for count in ["moved 2, already there 0", "moved 0, already there 2"] {
        let moved = run(&["move", "--from", &one, "--to", &other]);
        assert!(moved.status.success());
        assert!(
            String::from_utf8_lossy(&moved.stderr).starts_with(count),
            "{moved:?}"
        );
    }
    assert!(run(&["revoke", "--store", &other, "li"]).status.success());
    assert!(out(&run(&["show", "--store", &other, "li"])).contains("state=revoked"));
    assert!(out(&run(&["list", "--store", &other, "--state", "active"])).contains("wang"));
    // What differs is named, and left.
    let differs = run(&["move", "--from", &one, "--to", &other]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(out(&differs).contains("account=li  state=differs"));
}

#[test]
fn a_store_is_sealed_with_another_key_and_says_which_keys_still_stand() {
    let dir = tempfile::tempdir().unwrap();
    let one = store(dir.path(), "one");
    let (old, new) = (
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        "2:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTM=",
    );
    let (both, only) = (
        [("MAC_SEAL_KEY", new), ("MAC_SEAL_KEYS_RETIRED", old)],
        [("MAC_SEAL_KEY", new)],
    );
    let file = seeds(dir.path(), "{\"li\": \"CANARY-1\", \"wang\": \"CANARY-2\"}");
    let import = ["import", "--store", &one, "--client-id", "c", &file];
    assert!(run(&import).status.success());
    let reseal = |environment: &[(&str, &str)], code: i32, told: &str| {
        let mut arguments = vec!["reseal", "--store", &one];
        if told.starts_with("sealed with key 1") {
            arguments.push("--unsealed");
        }
        let done = run_with(environment, &arguments);
        out(&done);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(told), "{said}");
        assert_eq!(done.status.code(), Some(code), "{said}");
    };
    reseal(&[], 2, "MAC_SEAL_KEY");
    // It had no key before, and that is not taken for sealed.
    reseal(&both, 1, "still sealed with no key: 2");
    reseal(&[("MAC_SEAL_KEY", old)], 0, "sealed with key 1: 2 (2 now)");
    reseal(&only, 1, "still sealed with key 1: 2");
    reseal(&both, 0, "sealed with key 2: 2 (2 now)");
    reseal(&only, 0, "sealed with key 2: 2 (0 now)");
    let shown = run_with(&only, &["show", "--store", &one, "li"]);
    assert!(out(&shown).contains("readable=true"));
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let one = store(dir.path(), "one");
    let file = seeds(dir.path(), "{\"li\": \"CANARY\",\n \"wang\": 4711}");
    let done = run(&["import", "--store", &one, "--client-id", "c", &file]);
    assert_eq!(done.status.code(), Some(2));
    out(&done);
    assert!(String::from_utf8_lossy(&done.stderr).contains("line 2"));
    assert!(!dir.path().join("one").exists());
    for wrong in [
        &["show", "--store", &one, "nobody"][..],
        &["list", "--store", "ftp://user:CANARY@host"],
        &["revoke", "--store", &one],
        &[
            "show",
            "--store",
            "postgres://user:CANARY@127.0.0.1:1/x",
            "li",
        ],
    ] {
        let done = run(wrong);
        assert_eq!(done.status.code(), Some(2), "{wrong:?}");
        out(&done);
    }
}
