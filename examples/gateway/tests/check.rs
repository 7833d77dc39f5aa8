//! What `--check` finds before a gateway starts, and a start says.
#![allow(clippy::unwrap_used, missing_docs)]

mod real_gateway;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use real_gateway::{World, call, secret};
use serde_json::Value;

/// Signs everything.
const ALICE: &str = "account = \"alice\"";

const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
const OTHER: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTM=";

fn told(world: &World, output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for canary in [&secret(&world.provider), "CANARY", KEY, OTHER] {
        assert!(!told.contains(canary), "{told}");
    }
    told
}

/// What it says, with these flags beside the settings, and its exit code.
fn check(world: &World, flags: &[&str]) -> (Option<i32>, String) {
    let config = world.settings(&world.server.url(""), ALICE);
    let mut command = world.command(&config);
    let done = command.arg("--check").args(flags).output().unwrap();
    (done.status.code(), told(world, &done))
}

/// An account in the store of these settings, sealed with this key. By way of a store of its own: no command
/// brings it beside accounts with other keys.
fn import(world: &World, name: &str, key: &str) {
    let file = world.write("one.json", &format!("{{\"{name}\": \"CANARY\"}}"));
    let dir = world.dir.path().display();
    let store = format!("file:{dir}/{name}");
    let done = Command::new(env!("CARGO_BIN_EXE_mac-gateway"))
        .args(["accounts", "import", "--store", &store])
        .args(["--client-id", world.provider.client_id(), &file])
        .env("MAC_SEAL_KEY", key)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let (from, to) = (format!("{dir}/{name}/."), format!("{dir}/tokens"));
    let copied = Command::new("cp").args(["-a", "-n", &from, &to]).status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_store_that_no_key_opens_is_named_before_anything_starts() {
    let world = World::new();
    let (right, wrong) = (format!("winter:{KEY}"), format!("winter:{OTHER}"));
    import(&world, "alice", &right);
    let config = world.settings(&world.server.url(""), ALICE);
    let run = |key: Option<&str>, flags: &[&str]| {
        let mut command = world.command(&config);
        command.args(flags).env_remove("MAC_SEAL_KEY");
        command.envs(key.map(|key| ("MAC_SEAL_KEY", key)));
        let done = command.output().unwrap();
        (done.status.code(), told(&world, &done))
    };
    assert_eq!(run(Some(&right), &["--check"]).0, Some(0));
    for key in [None, Some(OTHER), Some(wrong.as_str())] {
        for flags in [&["--check"][..], &[]] {
            let (code, told) = run(key, flags);
            assert_eq!(code, Some(2), "{told}");
            let named = told.contains("MAC_SEAL_KEY") && told.contains("winter");
            assert!(named, "{told}");
        }
    }
    // Where one account opens, the others wait for their key, and the gateway starts.
    import(&world, "bob", KEY);
    let (code, told) = run(Some(KEY), &["--check"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("1 of 2") && told.contains("winter"), "{told}");
}

#[test]
fn an_upstream_that_is_the_gateway_is_refused() {
    let world = World::new();
    for upstream in ["http://localhost:7070", "http://127.0.0.1:7071"] {
        let flags = ["--listen", "127.0.0.1:7070", "--admin", "127.0.0.1:7071"];
        let flags = [&flags[..], &["--upstream", upstream]].concat();
        let (code, told) = check(&world, &flags);
        assert_eq!(code, Some(2), "{told}");
        assert!(
            told.contains("--upstream: is an address of this gateway"),
            "{told}"
        );
    }
}

#[test]
fn a_store_of_another_client_and_a_damaged_record_are_found_before_they_cost_requests() {
    let world = World::new();
    let (code, told) = check(&world, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("no account yet"), "{told}");
    let gateway = world.start(&world.server.url(""), ALICE);
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("taken=1 known=0"), "{log}");
    // Never rotated, and known all the same.
    let gateway = world.start(&world.server.url(""), ALICE);
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("taken=0 known=1") && !log.contains("WARN"),
        "{log}"
    );
    let (code, told) = check(&world, &[]);
    assert_eq!(
        (code, told.contains("1 account")),
        (Some(0), true),
        "{told}"
    );

    let (code, told) = check(&world, &["--client-id", "OTHER"]);
    assert_eq!(code, Some(2), "{told}");
    let named = told.contains(world.provider.client_id()) && told.contains("--client-id");
    assert!(named, "{told}");

    let (code, told) = check(&world, &["--account", "nosuch"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("--account: the store does not know it"),
        "{told}"
    );

    world.damage("alice");
    let (code, told) = check(&world, &[]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("alice.json"), "{told}");
}

#[test]
fn an_account_that_is_not_there_is_told_a_way_that_there_is() {
    let world = World::new();
    for (provider, way, other) in [
        ("xiaomi", "/login", "accounts import"),
        ("bearer", "accounts import", "/login"),
    ] {
        let (code, told) = check(&world, &["--account", "nosuch", "--provider", provider]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains(way) && !told.contains(other), "{told}");
    }
}

#[test]
fn a_gateway_that_cannot_open_some_accounts_starts_and_logs_why() {
    let world = World::new();
    let upstream = world.server.url("");
    // Alice is seeded, and kept in the clear.
    assert_eq!(world.start(&upstream, ALICE).end().0, Some(0));
    import(&world, "bob", &format!("winter:{OTHER}"));
    let (code, log) = world.start(&upstream, ALICE).end();
    assert_eq!(code, Some(0), "{log}");
    let warned = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains("winter"));
    assert!(warned, "{log}");
}

#[test]
fn an_account_stands_at_the_admin_address_as_it_does_in_a_list() {
    let world = World::new();
    let upstream = world.server.url("");
    assert_eq!(world.start(&upstream, ALICE).end().0, Some(0));
    import(&world, "bob", &format!("winter:{OTHER}"));
    let store = format!("file:{}/tokens", world.dir.path().display());
    let listed = Command::new(env!("CARGO_BIN_EXE_mac-gateway"))
        .args(["accounts", "list", "--json", "--store", &store])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();

    let gateway = world.start(&upstream, ALICE);
    let host = gateway.admin;
    let asked = format!("GET /accounts HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = call(host, &asked);
    let (_, page) = answer.split_once("\r\n\r\n").unwrap();
    let mut page: Value = serde_json::from_str(page).unwrap();
    for account in page["accounts"].as_array_mut().unwrap() {
        // What only this process knows.
        account.as_object_mut().unwrap().remove("here").unwrap();
    }
    assert_eq!(page["accounts"], Value::from(listed));
    // No request has found out yet that its key is not given.
    let bob = &page["accounts"][1];
    assert_eq!(bob["state"], "unreadable");
    assert!(bob["why"].as_str().unwrap().contains("winter"), "{bob}");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_check_makes_no_directory_and_says_which_a_start_would_make() {
    let world = World::new();
    let at = |name: &str| world.dir.path().join(name).display().to_string();
    let journal = at("journal");
    let (code, told) = check(&world, &["--journal", &journal]);
    assert_eq!(code, Some(0), "{told}");
    for flag in ["--store", "--journal"] {
        let line = format!("take care: {flag}: ");
        let line = told.lines().find(|told| told.contains(&line)).unwrap();
        assert!(line.ends_with(" yet: a start makes it"), "{told}");
    }
    assert!(told.contains("no account yet"), "{told}");
    assert!(
        !world.dir.path().join("tokens").exists() && !world.dir.path().join("journal").exists()
    );
    // Nor can one be made in a file.
    let (code, told) = check(
        &world,
        &["--store", &format!("file:{}", at("secret/tokens"))],
    );
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--store: none can be made at "), "{told}");
    assert_eq!(world.start(&world.server.url(""), ALICE).end().0, Some(0));
    let (code, told) = check(&world, &[]);
    assert_eq!(
        (code, told.contains("a start makes it")),
        (Some(0), false),
        "{told}"
    );
}

#[test]
fn a_check_leaves_a_store_as_it_was() {
    let world = World::new();
    let journal = world.dir.path().join("journal").display().to_string();
    let upstream = world.server.url("");
    let kept = format!("{ALICE}\njournal = \"{journal}\"");
    assert_eq!(world.start(&upstream, &kept).end().0, Some(0));
    let files = || {
        let dirs = ["tokens", "journal"].map(|dir| world.dir.path().join(dir));
        let found = Command::new("find").args(dirs).output().unwrap().stdout;
        let mut names: Vec<_> = std::str::from_utf8(&found)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        let read = names
            .into_iter()
            .map(|name| (std::fs::read(&name).ok(), name));
        read.collect::<Vec<_>>()
    };
    let before = files();
    let (code, told) = check(&world, &["--journal", &journal]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(files(), before);
}

#[test]
fn a_check_refuses_each_directory_that_a_start_would() {
    let world = World::new();
    let made = |name: &str, mode: u32| {
        let path = world.dir.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    // As /tmp is, and one that holds something else.
    let (everybodys, used) = (made("everybodys", 0o1777), made("used", 0o777));
    world.write("used/other", "");
    let both = world.dir.path().join("both").display().to_string();
    let file = |dir: &str| format!("file:{dir}");
    for flags in [
        &["--store", &file(&everybodys)][..],
        &["--store", &file(&used)],
        &["--journal", &everybodys],
        &["--journal", &used],
        &["--store", &file(&both), "--journal", &both],
    ] {
        let config = world.settings(&world.server.url(""), ALICE);
        for more in [&["--check"][..], &[]] {
            let done = world.command(&config).args(flags).args(more).output();
            let done = done.unwrap();
            let told = told(&world, &done);
            assert_eq!(done.status.code(), Some(2), "{flags:?} {more:?} {told}");
            assert!(told.contains(flags[flags.len() - 2]), "{told}");
        }
    }
    // Nothing is made at the end of a link.
    let link = world.dir.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let (code, told) = check(&world, &["--store", &file(&link.display().to_string())]);
    assert_eq!(code, Some(2), "{told}");
    // One that is empty is closed to others.
    let empty = made("empty", 0o777);
    let (code, told) = check(&world, &["--store", &file(&empty)]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn an_account_whose_file_is_none_hides_no_other_at_the_admin_address() {
    let world = World::with_accounts(2);
    let gateway = world.start(&world.server.url(""), "account = \"user-1\"");
    let record = world.record("user-0");
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(&record).unwrap();
    let host = gateway.admin;
    let asked = format!("GET /accounts HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = call(host, &asked);
    let (_, page) = answer.split_once("\r\n\r\n").unwrap();
    let page: Value = serde_json::from_str(page).unwrap();
    let states = [0, 1].map(|at| page["accounts"][at]["state"].clone());
    assert_eq!(states, ["unreadable", "active"], "{page}");
    let why = page["accounts"][0]["why"].as_str().unwrap();
    assert!(why.contains("it is a directory"), "{page}");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_wrong_store_is_as_wrong_as_a_wrong_flag_and_one_that_is_away_is_not() {
    let world = World::new();
    for (store, code) in [
        ("postgres://u:CANARY@host:port/x", 2),
        ("redis://u:CANARY@:port", 2),
        ("ftp://u:CANARY@host", 2),
        ("postgres://u:CANARY@127.0.0.1:1/x", 1),
    ] {
        let (ended, told) = check(&world, &["--store", store]);
        assert_eq!(ended, Some(code), "{store}: {told}");
        assert!(told.contains("--store: "), "{told}");
        assert!(!told.contains("migrate"), "{told}");
    }
}

#[test]
fn a_setting_that_cannot_work_is_named_and_a_right_one_shown() {
    let world = World::new();
    let headers = [
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "Keep-Alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "Via",
        "x account",
    ];
    for header in headers {
        let (code, told) = check(&world, &["--account-header", header]);
        assert_eq!(code, Some(2), "{header}: {told}");
        assert!(told.contains("--account-header x-account"), "{told}");
    }
    let (code, told) = check(&world, &["--account-header", "x-account"]);
    assert_eq!(code, Some(0), "{told}");

    for (flag, value, right) in [
        ("--authorize-url", "/authorize", "--authorize-url https://"),
        (
            "--authorize-url",
            "accounts.example",
            "--authorize-url https://",
        ),
        ("--upstream-timeout", "0", "--upstream-timeout 60"),
        ("--admin-host", "http://ops", "--admin-host ops.example"),
        (
            "--admin-host",
            "ops.example:8081",
            "--admin-host ops.example",
        ),
        ("--admin-host", "", "--admin-host ops.example"),
        ("--admin-host", "*.example", "--admin-host ops.example"),
        ("--upstream", "https://a:99999", "--upstream https://"),
        ("--upstream", "https://a:", "--upstream https://"),
        ("--upstream", "https://a:0", "--upstream https://"),
        ("--sign-host", "a:99999", "--sign-host api.example"),
        ("--sign-host", "u:CANARY@a", "--sign-host api.example"),
    ] {
        let (code, told) = check(&world, &[flag, value]);
        assert_eq!(code, Some(2), "{flag} {value}: {told}");
        let named = format!("mac-gateway: {flag}: ");
        assert!(told.starts_with(&named) && told.contains(right), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for (flag, value) in [
        ("--admin-host", "ops.example"),
        ("--admin-host", "192.0.2.1"),
        ("--admin-host", "[2001:db8::1]"),
        ("--authorize-url", "https://accounts.example/authorize?a=b"),
        ("--upstream", "https://a:8443"),
    ] {
        let (code, told) = check(&world, &[flag, value]);
        assert_eq!(code, Some(0), "{flag} {value}: {told}");
    }
}

#[test]
fn one_address_is_not_taken_twice() {
    let world = World::new();
    for (listen, admin, code) in [
        ("127.0.0.1:8080", "127.0.0.1:8080", 2),
        ("0.0.0.0:8080", "127.0.0.1:8080", 2),
        ("[::]:8080", "127.0.0.1:8080", 2),
        ("[::1]:8080", "127.0.0.1:8080", 0),
        ("127.0.0.1:8080", "127.0.0.1:8081", 0),
        ("127.0.0.1:0", "127.0.0.1:0", 0),
    ] {
        let (ended, told) = check(&world, &["--listen", listen, "--admin", admin]);
        assert_eq!(ended, Some(code), "{listen} {admin}: {told}");
        assert!(code == 0 || told.contains("--admin: "), "{told}");
    }
}

#[test]
fn a_redirect_that_does_not_lead_back_here_is_told() {
    let world = World::new();
    for (uri, told_of) in [
        ("https://ops.example/callback", false),
        ("https://ops.example/login/done", true),
        ("https://ops.example", true),
    ] {
        let (code, told) = check(&world, &["--redirect-uri", uri]);
        assert_eq!(code, Some(0), "{told}");
        assert_eq!(told.contains("--redirect-uri: "), told_of, "{uri}: {told}");
    }
}

#[test]
fn a_seed_that_no_header_can_name_is_told() {
    let world = World::new();
    world.write("seeds.json", "{\"小米\": \"CANARY\", \"li \": \"CANARY\"}");
    let (code, told) = check(&world, &[]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = check(&world, &["--account-header", "x-account"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--seed: \"li \""), "{told}");
}
