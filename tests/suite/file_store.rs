//! Records in files: what crashes, full disks, and other processes do to them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tower_mac_auth::account::{Account, AccountErrorKind, Event, RefreshErrorKind};
use tower_mac_auth::store::{
    AccountName, Commit, FileStore, Generation, Issued, RecordStore, Replaced, Status,
    StoreErrorKind, Version,
};
use tower_mac_auth::testing::Conformance;
use tower_mac_auth::testing::rotation::{self, Lease, LeaseFrom, Wanted};
use tower_mac_auth::token::TokenSet;

use crate::world::{HOUR, World, moved, record, status};

const MINUTE: Duration = Duration::from_secs(60);

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

fn issued(number: u64) -> Issued {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("{name}-{number}"));
    let generation = Generation::from_number(number);
    let tokens = TokenSet::mac(at, key, rt, HOUR);
    Issued::rotated(generation, Generation::FIRST, tokens, Some(HOUR))
}

async fn commit(store: &FileStore, number: u64) -> Result<Commit, String> {
    let commit = store.commit(&user(), issued(number)).await;
    commit.map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn files_keep_the_promises_of_every_store() {
    let scratch = TempDir::new().unwrap();
    let one = FileStore::open(scratch.path()).await.unwrap();
    let other = FileStore::open(scratch.path()).await.unwrap();
    Conformance::between(one, other).run().await;
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn sealed_files_keep_the_promises_of_every_store() {
    use tower_mac_auth::store::{Keyring, SealedStore, SealingKey};

    let scratch = TempDir::new().unwrap();
    let key = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
    let sealed = async || {
        let keys = Keyring::new("now", SealingKey::from_base64(key).unwrap()).unwrap();
        let store = FileStore::open(scratch.path()).await.unwrap();
        SealedStore::new(store, keys)
    };
    let (one, other) = (sealed().await, sealed().await);
    Conformance::between(one, other).run().await;
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_rotated_to_and_not_with_the_tokens_it_is_given() {
    let scratch = TempDir::new().unwrap();
    let store = FileStore::open(scratch.path()).await.unwrap();
    let world = World::with(|provider| provider, |account| account.store(store)).await;
    let refreshed = world
        .account
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap();
    world.account.shutdown().await;

    let account = Account::builder(world.provider.endpoint())
        .clock(world.clock.clone())
        .store(FileStore::open(scratch.path()).await.unwrap())
        .tokens(world.tokens.clone())
        .open("user")
        .await
        .unwrap();
    assert_eq!(account.generation(), refreshed);
    assert!(account.expires_at().is_some());
    account.refresh_if_current(refreshed).await.unwrap_err(); // Rotated less than a minute ago.
    world.clock.advance(2 * MINUTE);
    account.refresh_if_current(refreshed).await.unwrap();
    assert_eq!(world.presented(), 2);
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test]
async fn a_damaged_record_keeps_an_account_from_opening_with_tokens_that_may_be_spent() {
    let scratch = TempDir::new().unwrap();
    let store = FileStore::open(scratch.path()).await.unwrap();
    let world = World::with(|it| it, |it| it.store(store.clone())).await;
    world
        .account
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap();
    let record = find(scratch.path(), "user.json").unwrap();
    File::options()
        .write(true)
        .open(&record)
        .unwrap()
        .set_len(100)
        .unwrap();

    let open = || {
        Account::builder(world.provider.endpoint())
            .clock(world.clock.clone())
            .store(store.clone())
            .tokens(world.tokens.clone())
    };
    let error = open().open("user").await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);
    assert!(format!("{error:?}").contains("user.json"), "{error:?}");
    let code = world.code();
    open().authorize("user", code.clone()).await.unwrap_err();

    // The process that rotated signs on meanwhile.
    assert_eq!(status(&world.get("/meanwhile").await), 200);
    store.revoke(&user()).await.unwrap();
    let account = open().open("user").await.unwrap();
    assert!(
        account.expires_at().is_none(),
        "the tokens it was given are not taken"
    );
    account.authorize(code).await.unwrap();
    assert!(account.expires_at().is_some());
    assert_eq!(world.presented(), 1);
}

pub fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, name)
        } else {
            path.ends_with(name).then_some(path)
        }
    })
}

/// A small file system of its own.
struct Mounted(TempDir);

impl Mounted {
    fn small() -> Self {
        let place = TempDir::new().unwrap();
        let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
        let options = format!("size=64k,mode=700,uid={user},gid={group}");
        let mount = ["-t", "tmpfs", "-o", &options, "none"];
        assert!(done(as_root("mount").args(mount).arg(place.path())));
        Self(place)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let mut mount = as_root("mount");
        assert!(done(mount.args(["-o", &options]).arg(self.path())));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        done(as_root("umount").arg("-l").arg(self.path()));
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["--non-interactive", program]);
    sudo
}

fn done(command: &mut Command) -> bool {
    let status = command.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Fills the file system to its last byte.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = File::create(&path).unwrap();
    while file.write(&[0; 512]).is_ok() {}
    path
}

#[tokio::test]
#[ignore = "mounts a file system, as root or with sudo: scripts/test"]
async fn a_full_disk_is_told_and_loses_nothing_and_is_used_again_once_there_is_space() {
    let mounted = Mounted::small();
    let store = FileStore::open(mounted.path().join("tokens"))
        .await
        .unwrap();
    let mut world = World::with(|it| it, |it| it.store(store.clone())).await;
    let filler = fill(mounted.path());

    let error = commit(&store, 2).await.unwrap_err();
    assert!(
        error.contains("StorageFull") && error.contains("user.json"),
        "{error}"
    );
    let error = FileStore::open(mounted.path().join("tokens"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    // It is time for a refresh, which cannot be written down: nothing is sent, the live token signs.
    world.clock.advance(57 * MINUTE);
    assert_eq!(status(&world.get("/full").await), 200);
    let Some(Event::RefreshFailed { error, .. }) = world.events.next().await else {
        panic!("the flight failed");
    };
    assert_eq!(error.kind(), RefreshErrorKind::Store);
    assert_eq!(status(&world.get("/full").await), 200);
    assert_eq!(world.presented(), 0);

    fs::remove_file(filler).unwrap();
    world.clock.advance(MINUTE);
    assert_eq!(status(&world.get("/again").await), 200);
    let event = world.events.next().await;
    assert!(matches!(event, Some(Event::Refreshed { .. })), "{event:?}");
    assert_eq!(world.presented(), 1);
}

#[tokio::test]
#[ignore = "mounts a file system, as root or with sudo: scripts/test"]
async fn a_file_system_gone_read_only_is_read_and_refused_at_the_start() {
    let mounted = Mounted::small();
    let dir = mounted.path().join("tokens");
    let store = FileStore::open(&dir).await.unwrap();
    commit(&store, 1).await.unwrap();
    mounted.remount("ro");
    record(&store, &user()).await;
    let error = commit(&store, 2).await.unwrap_err();
    assert!(error.contains("ReadOnlyFilesystem"), "{error}");
    let error = FileStore::open(&dir).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    // One that is still to be made, as under the read-only root of a container.
    let error = FileStore::open(mounted.path().join("new")).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    let told = error.to_string();
    assert!(told.contains("the directory cannot be made"), "{told}");
    mounted.remount("rw");
    commit(&store, 2).await.unwrap();
}

/// Runs an ignored test of this program as a process of its own.
fn process(program: &mut Command, test: &str, dir: &Path) -> Child {
    program
        .args(["--ignored", "--nocapture", "--exact", test])
        .env("TOKENS", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "run by others as a process of its own"]
async fn as_a_process_that_takes_the_lease() {
    let store = FileStore::open(std::env::var_os("TOKENS").unwrap())
        .await
        .unwrap();
    println!("\nready");
    // All start at the same moment.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let user = user();
    let standing = record(&store, &user).await;
    let wanted = Wanted {
        of: standing.version,
        owner: "me",
        length: MINUTE,
        from: LeaseFrom::Active,
    };
    let won = match rotation::acquire(&standing, Version::draw(), wanted) {
        Some(draft) => {
            let expected = Some(standing.version);
            match store.replace(&user, expected, &draft).await.unwrap() {
                Replaced::Done(now) => Lease::of(draft.at(now)),
                Replaced::Refused(_) => None,
            }
        }
        None => None,
    };
    let Some(lease) = won else {
        println!("\nlost");
        return;
    };
    moved(&store, &user, |record, version| {
        rotation::intend(record, version, &lease, MINUTE)
    })
    .await;
    println!("\nwon");
}

#[tokio::test]
async fn of_many_processes_one_gets_the_lease_and_writes_the_intent() {
    let scratch = TempDir::new().unwrap();
    let store = FileStore::open(scratch.path()).await.unwrap();
    commit(&store, 1).await.unwrap();
    let program = std::env::current_exe().unwrap();
    let mut racers: Vec<_> = (0..6)
        .map(|_| {
            let test = "file_store::as_a_process_that_takes_the_lease";
            let mut racer = process(&mut Command::new(&program), test, scratch.path());
            let lines = BufReader::new(racer.stdout.take().unwrap()).lines();
            (racer, lines.map_while(Result::ok))
        })
        .collect();
    for (_, lines) in &mut racers {
        assert!(lines.any(|line| line == "ready"));
    }
    for (racer, _) in &mut racers {
        racer.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut won = 0;
    for (mut racer, mut lines) in racers {
        won += usize::from(lines.find(|line| line == "won" || line == "lost").unwrap() == "won");
        lines.for_each(drop);
        assert!(racer.wait().unwrap().success());
    }
    assert_eq!(won, 1);
    assert_eq!(record(&store, &user()).await.status, Status::Sending);
}

#[tokio::test]
#[ignore = "run by others as a process of its own"]
async fn as_a_process_that_commits() {
    let store = FileStore::open(std::env::var_os("TOKENS").unwrap())
        .await
        .unwrap();
    commit(&store, 2).await.unwrap();
    println!("ANSWERED");
}

/// The system calls that made `user.json`, in their order, from the kernel's side.
#[tokio::test]
#[ignore = "needs strace: scripts/test"]
async fn the_kernel_sees_bytes_synced_before_the_rename_and_the_directory_before_the_answer() {
    let scratch = TempDir::new().unwrap();
    let store = FileStore::open(scratch.path().join("tokens"))
        .await
        .unwrap();
    commit(&store, 1).await.unwrap();
    let trace = scratch.path().join("trace");
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "-y",
            "-e",
            "trace=openat,write,fsync,fdatasync,/rename",
            "-o",
        ])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap());
    let test = "file_store::as_a_process_that_commits";
    let child = process(&mut strace, test, &scratch.path().join("tokens"));
    assert!(child.wait_with_output().unwrap().status.success());

    let trace = fs::read_to_string(trace).unwrap();
    let record = find(scratch.path(), "user.json").unwrap();
    let shard = record.parent().unwrap().to_str().unwrap();
    let mut calls = trace.lines();
    for wanted in [
        &["openat", "/.new\"", "O_EXCL", "0600"][..],
        &["write", "/.new>", "tower-mac-auth record 1"],
        &["fsync", "/.new>"],
        &["rename", "/.new\"", "/user.json\""],
        &["fsync", &format!("<{shard}>")],
        &["write", "ANSWERED"],
    ] {
        let found = calls.any(|call| wanted.iter().all(|part| call.contains(part)));
        assert!(found, "{wanted:?}, in this order, in\n{trace}");
    }
}
