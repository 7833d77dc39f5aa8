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
    for variable in ["MAC_SEAL_KEY", "MAC_STORE"] {
        program.env_remove(variable);
    }
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
    let shown = out(&run(&["show", "--store", &other, "li"]));
    assert!(
        shown.contains("state=revoked") && shown.contains("why=revoked by an operator"),
        "{shown}"
    );
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
    assert!(out(&shown).contains("state=active"));
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
    // 2 for what is wrong, 1 for what may do another time.
    for (arguments, code) in [
        (&["list", "--store", "ftp://user:CANARY@host"][..], 2),
        (&["list", "--store", "redis://user:CANARY@:port"], 2),
        (&["revoke", "--store", &one], 2),
        (
            &[
                "show",
                "--store",
                "postgres://user:CANARY@127.0.0.1:1/x",
                "li",
            ],
            1,
        ),
    ] {
        let done = run(arguments);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {done:?}");
        out(&done);
    }
    imported(dir.path(), &one, &[]);
    let nobody = run(&["show", "--store", &one, "nobody"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}

/// Two accounts of a client, in this store.
fn imported(dir: &Path, store: &str, environment: &[(&str, &str)]) {
    let file = seeds(dir, "{\"li\": \"CANARY-1\", \"wang\": \"CANARY-2\"}");
    let import = ["import", "--store", store, "--client-id", "c", &file];
    let done = run_with(environment, &import);
    assert!(done.status.success(), "{done:?}");
}

fn told(output: &Output) -> String {
    out(output);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
const OTHER: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTM=";

#[test]
fn an_account_that_no_key_opens_is_listed_so_and_the_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let one = store(dir.path(), "one");
    let (right, wrong) = (format!("winter:{KEY}"), format!("winter:{OTHER}"));
    imported(dir.path(), &one, &[("MAC_SEAL_KEY", &right)]);
    let list = |environment: &[(&str, &str)], state: &str| {
        let list = ["list", "--store", &one, "--state", state];
        let done = run_with(environment, &list);
        assert!(done.status.success(), "{done:?}");
        out(&done)
    };
    let opened = [("MAC_SEAL_KEY", right.as_str())];
    assert_eq!(list(&opened, "active").lines().count(), 2);
    assert_eq!(list(&opened, "unreadable"), "");
    for (environment, why) in [
        (&[][..], "no key is given"),
        (&[("MAC_SEAL_KEY", OTHER)], "not in the keyring"),
        (&[("MAC_SEAL_KEY", wrong.as_str())], "a wrong key"),
    ] {
        assert_eq!(list(environment, "active"), "");
        let listed = list(environment, "unreadable");
        assert_eq!(listed.matches("winter").count(), 2, "{listed}");
        assert!(listed.contains(why), "{listed}");
        let shown = run_with(environment, &["show", "--store", &one, "li"]);
        assert!(out(&shown).contains("state=unreadable"), "{shown:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let one = store(dir.path(), "one");
    imported(dir.path(), &one, &[]);
    let file = dir.path().join("seeds.json").display().to_string();
    for arguments in [
        &["list", "--store", &one][..],
        &["show", "--store", &one, "li"],
        &["import", "--store", &one, "--client-id", "c", &file],
        &["migrate", "--store", &one, "--json"],
        &["revoke", "--store", &one, "li"],
    ] {
        let program = || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
            program.arg("accounts").args(arguments);
            program
        };
        let nobody_reads = || std::io::pipe().unwrap().1;
        let done = program().stdout(nobody_reads()).output().unwrap();
        // What a shell says of one that the signal ended.
        assert_eq!(done.status.code(), Some(141), "{arguments:?}: {done:?}");
        assert_eq!(told(&done), "", "{arguments:?}");
        let mut blind = program();
        blind.arg("--no-such-flag").stderr(nobody_reads());
        assert_eq!(blind.output().unwrap().status.code(), Some(2));
    }
    let mut wrong = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
    wrong.args(["accounts", "list", "--store", "ftp:"]);
    let done = wrong.stderr(std::io::pipe().unwrap().1).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "{done:?}");
}

#[test]
fn a_store_may_be_named_by_the_environment_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (store(dir.path(), "one"), store(dir.path(), "other"));
    imported(dir.path(), &one, &[]);
    let file = dir.path().join("where");
    std::fs::write(&file, format!("{one}\n")).unwrap();
    let file = file.display().to_string();
    for variable in [("MAC_STORE", one.as_str()), ("MAC_STORE_FILE", &file)] {
        let listed = run_with(&[variable], &["list"]);
        assert_eq!(out(&listed).lines().count(), 2, "{listed:?}");
    }
    let ends = [
        ("MAC_STORE_FROM_FILE", file.as_str()),
        ("MAC_STORE_TO", &other),
    ];
    let moved = run_with(&ends, &["move"]);
    assert!(told(&moved).starts_with("moved 2"), "{moved:?}");

    let secret = "postgres://u:CANARY@host:port/x";
    for (environment, arguments, named) in [
        (&[][..], &["list"][..], "--store file:"),
        (&[], &["move", "--to", &one], "MAC_STORE_FROM"),
        (
            &[("MAC_STORE", "file:CANARY")],
            &["list", "--store", &one],
            "MAC_STORE",
        ),
        (&[("MAC_STORE", "CANARY")], &["list"], "MAC_STORE: "),
        (&[("MAC_STORE", secret)], &["list"], "MAC_STORE: "),
    ] {
        let done = run_with(environment, arguments);
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        assert!(told(&done).contains(named), "{done:?}");
    }
}

#[test]
fn who_only_reads_makes_no_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    std::fs::create_dir(dir.path().join("other")).unwrap();
    std::fs::write(dir.path().join("other/notes"), "").unwrap();
    for place in ["mistyped", "empty", "other", "other/notes"] {
        let place = &store(dir.path(), place);
        let to = store(dir.path(), "to");
        for arguments in [
            &["list", "--store", place][..],
            &["show", "--store", place, "li"],
            &["revoke", "--store", place, "li"],
            &["reseal", "--store", place],
            &["move", "--from", place, "--to", &to],
        ] {
            let done = run_with(&[("MAC_SEAL_KEY", KEY)], arguments);
            assert_eq!(done.status.code(), Some(2), "{done:?}");
            assert!(told(&done).contains("there is no store there"), "{done:?}");
        }
    }
    assert!(!dir.path().join("mistyped").exists() && !dir.path().join("to").exists());
    for (place, names) in [("empty", 0), ("other", 1)] {
        let left = std::fs::read_dir(dir.path().join(place)).unwrap();
        assert_eq!(left.count(), names, "{place}");
    }
}

#[test]
fn what_no_account_can_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let one = store(dir.path(), "one");
    let bogus = run(&["list", "--store", &one, "--state", "bogus"]);
    assert_eq!(bogus.status.code(), Some(2), "{bogus:?}");
    assert!(told(&bogus).contains("in_doubt"), "{bogus:?}");
    let file = seeds(dir.path(), "{\"li\": \"CANARY-1\"}");
    let nobodys = run(&["import", "--store", &one, "--client-id", "", &file]);
    assert_eq!(nobodys.status.code(), Some(2), "{nobodys:?}");
    assert!(told(&nobodys).contains("--client-id"), "{nobodys:?}");
    assert!(!dir.path().join("one").exists());
}

#[test]
fn tokens_go_only_where_gateways_can_use_them() {
    let dir = tempfile::tempdir().unwrap();
    let one = store(dir.path(), "one");
    let file = |text: &str| seeds(dir.path(), text);
    let import = |environment: &[(&str, &str)], to: &str, client: &str, text: &str| {
        let file = file(text);
        run_with(
            environment,
            &["import", "--store", to, "--client-id", client, &file],
        )
    };
    let key = [(
        "MAC_SEAL_KEY",
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
    )];
    assert_eq!(
        import(&key, &one, "c", "{\"li\": \"CANARY\"}")
            .status
            .code(),
        Some(0)
    );
    // Without the key, and for another client.
    for (environment, client) in [(&[][..], "c"), (&key[..], "other")] {
        let done = import(environment, &one, client, "{\"wang\": \"CANARY\"}");
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        assert_eq!(out(&done), "");
    }
    let listed = out(&run_with(&key, &["list", "--store", &one]));
    assert!(
        listed.contains("client=c") && !listed.contains("wang"),
        "{listed}"
    );
    // Without the key they are left, and it is said why.
    let other = store(dir.path(), "other");
    let moved = run(&["move", "--from", &one, "--to", &other]);
    assert_eq!(moved.status.code(), Some(1));
    assert!(out(&moved).contains("no key is given"), "{moved:?}");

    assert!(
        run_with(&key, &["revoke", "--store", &one, "li"])
            .status
            .success()
    );
    let done = import(&key, &one, "c", "{\"li\": \"CANARY\"}");
    assert_eq!(done.status.code(), Some(1));
    assert!(out(&done).contains("revoked, and not imported"), "{done:?}");

    // What would be gone with the command.
    let file = file("{\"li\": \"CANARY\"}");
    for arguments in [
        &["import", "--store", "memory", "--client-id", "c", &file][..],
        &["move", "--from", &one, "--to", "memory"],
        &["list", "--store", "memory"],
    ] {
        let done = run(arguments);
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("one process alone"));
    }
}
