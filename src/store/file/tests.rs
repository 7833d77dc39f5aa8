use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_core::future::BoxFuture;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;

use super::*;
use crate::store::directory::{Change, FileName, LOCK, hex};
use crate::store::{Grant, Status, StoreErrorKind};
use crate::token::TokenSet;

const MINUTE: Duration = Duration::from_secs(60);

fn name(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

fn grant(number: u64) -> Grant {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("{name}-{number}"));
    TokenSet::new(at, key, rt, MINUTE).into()
}

fn issued(number: u64) -> Issued {
    let generation = Generation::from_number(number);
    Issued::rotated(generation, Generation::FIRST, grant(number), Some(MINUTE))
}

fn scratch() -> (TempDir, PathBuf) {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("tokens");
    (scratch, dir)
}

/// A store in which `user` stands at generation 1.
async fn stored() -> (TempDir, FileStore, AccountName) {
    let (scratch, dir) = scratch();
    let store = FileStore::open(dir).await.unwrap();
    let user = name("user");
    commit(&store, &user, 1).await.unwrap();
    (scratch, store, user)
}

async fn commit(store: &FileStore, user: &AccountName, number: u64) -> Result<bool, StoreError> {
    let commit = store.commit(user, issued(number)).await?;
    Ok(matches!(commit, Commit::Committed(_)))
}

async fn read(store: &FileStore, user: &AccountName) -> Record {
    store.read(user).await.unwrap().unwrap()
}

async fn acquire(store: &FileStore, user: &AccountName) -> Option<Lease> {
    let generation = read(store, user).await.generation;
    let acquire = store.acquire(user, generation, "me", MINUTE, LeaseFrom::Active);
    match acquire.await.unwrap() {
        Acquire::Granted(lease) => Some(lease),
        Acquire::Lost(_) => None,
    }
}

fn path_of(store: &FileStore, user: &AccountName) -> PathBuf {
    File::of(store, user).path
}

/// Every file below a directory.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

/// All that an error says, down to its root.
fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn same(one: &Record, other: &Record) -> bool {
    let text = |record: &Record| {
        let now = Timestamp::EPOCH;
        format!(
            "{:?}",
            Record {
                now,
                ..record.clone()
            }
        )
    };
    text(one) == text(other) && one.grant == other.grant
}

#[tokio::test]
async fn another_store_on_the_directory_sees_all_that_was_written() {
    let (_scratch, store, user) = stored().await;
    let lease = acquire(&store, &user).await.unwrap();
    assert_eq!(
        store.intend(&user, &lease, MINUTE).await.unwrap(),
        Guarded::Done
    );
    let doubt = store.doubt(&user, lease.generation, lease.fence, "line 1\nline \"2\"");
    assert_eq!(doubt.await.unwrap(), Guarded::Done);

    let other = FileStore::open(store.0.directory.path()).await.unwrap();
    let record = read(&other, &user).await;
    assert!(same(&record, &read(&store, &user).await));
    assert_eq!((record.status, record.grant), (Status::InDoubt, grant(1)));
    assert_eq!(record.owner.as_deref(), Some("me"));
    assert_eq!(record.last_error.as_deref(), Some("line 1\nline \"2\""));
    assert!(record.intended_at.is_some() && record.expires_at.is_some());
}

#[tokio::test]
async fn names_that_look_alike_have_records_of_their_own() {
    let (_scratch, store, _) = stored().await;
    let long = |end| format!("{}{end}", "小".repeat(170));
    let names = [
        "a",
        "A",
        "a.json",
        "a/b",
        "../a",
        ".",
        "é",
        "e\u{301}",
        "%41",
        &long("a"),
        &long("b"),
    ]
    .map(name);
    for (number, name) in (1..).zip(&names) {
        assert!(store.read(name).await.unwrap().is_none(), "{name}");
        assert!(commit(&store, name, number).await.unwrap());
    }
    for (number, name) in (1..).zip(&names) {
        assert_eq!(read(&store, name).await.grant, grant(number), "{name}");
    }
}

#[tokio::test]
async fn nobody_else_may_read_what_is_written() {
    let (_scratch, store, user) = stored().await;
    store.revoke(&user).await.unwrap();
    fs::write(path_of(&store, &user), "damaged").unwrap();
    store.set_aside(&user).await.unwrap().unwrap();
    let root = store.0.directory.path();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(root), 0o700);
    assert_eq!(
        mode(&store.0.directory.shard(FileName::of(&user).shard)),
        0o700
    );
    let files = tree(root);
    assert_eq!(
        files.len(),
        5,
        "the marker, two locks, a record, one set aside: {files:?}"
    );
    for path in files.keys() {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn secrets_stay_out_of_the_part_for_people() {
    let (_scratch, store, user) = stored().await;
    let text = fs::read_to_string(path_of(&store, &user)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[1].contains(r#""account":"user","generation":1,"#),
        "{text}"
    );
    assert!(
        ["AT-1", "KEY-1", "RT-1"]
            .iter()
            .all(|secret| !text.contains(secret))
    );
    let shown = format!("{store:?} {:?}", FileStore::builder("dir").realm("r"));
    assert!(shown.contains("tokens") && shown.contains("dir"), "{shown}");
}

#[tokio::test]
async fn a_flipped_bit_gives_an_error_or_the_same_record_and_never_another() {
    let (_scratch, store, user) = stored().await;
    acquire(&store, &user).await.unwrap();
    let (path, whole) = (path_of(&store, &user), read(&store, &user).await);
    let bytes = fs::read(&path).unwrap();
    let mut errors = 0;
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match record::decode(&user, &damaged, &path, Timestamp::EPOCH) {
            Ok(record) => assert!(same(&record, &whole), "bit {bit}"),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Corrupt);
                assert!(
                    told(&error).contains("user.json: it is"),
                    "{}",
                    told(&error)
                );
                errors += 1;
            }
        }
    }
    assert_eq!(errors, bytes.len() * 8);
}

#[tokio::test]
async fn a_file_cut_short_at_any_length_is_an_error() {
    let (_scratch, store, user) = stored().await;
    let path = path_of(&store, &user);
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        let error = record::decode(&user, &bytes[..length], &path, Timestamp::EPOCH).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{length}");
    }
}

/// Files that are no record of `user`, and what is said of each.
async fn unreadable(store: &FileStore, user: &AccountName) -> Vec<(Vec<u8>, &'static str)> {
    let good = fs::read(path_of(store, user)).unwrap();
    let other = name("other");
    commit(store, &other, 1).await.unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    vec![
        (Vec::new(), "it is empty"),
        (good[..good.len() - 1].to_vec(), "damaged or cut short"),
        (vec![0; good.len()], "damaged or cut short"),
        (
            text.replacen("record 1", "record 2", 1).into(),
            "of version 2, this program knows 1",
        ),
        (
            fs::read(path_of(store, &other)).unwrap(),
            "of another account, \"other\"",
        ),
    ]
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_never_absent_and_never_overwritten() {
    let (_scratch, store, user) = stored().await;
    let lease = acquire(&store, &user).await.unwrap();
    let path = path_of(&store, &user);
    for (bytes, why) in unreadable(&store, &user).await {
        fs::write(&path, &bytes).unwrap();
        let errors = [
            store.read(&user).await.err(),
            store.commit(&user, issued(9)).await.err(),
            store.revoke(&user).await.err(),
            store
                .acquire(&user, Generation::FIRST, "me", MINUTE, LeaseFrom::Active)
                .await
                .err(),
            store.intend(&user, &lease, MINUTE).await.err(),
            store.release(&user, &lease, MINUTE, "why").await.err(),
            store
                .doubt(&user, lease.generation, lease.fence, "why")
                .await
                .err(),
            store.reject(&user, &lease, "why").await.err(),
        ];
        for error in errors {
            let error = error.unwrap();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            let told = told(&error);
            assert!(
                told.contains(why) && told.contains(path.to_str().unwrap()),
                "{told}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

/// The file as a later version may write it: whole, and with a grant in a form of its own.
fn of_a_later_form(file: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(file).unwrap();
    let header = text.lines().nth(1).unwrap();
    let rest = format!("{header}\n{}\n", BASE64_STANDARD.encode(b"\x09later"));
    let hash = Sha1::digest(format!("record 1\n{rest}"));
    format!("tower-mac-auth record 1 {}\n{rest}", hex(&hash)).into()
}

#[tokio::test]
async fn a_commit_ends_though_the_grant_of_what_supersedes_it_cannot_be_read() {
    let (_scratch, store, user) = stored().await;
    let path = path_of(&store, &user);
    let bytes = of_a_later_form(&fs::read(&path).unwrap());
    fs::write(&path, &bytes).unwrap();
    let Commit::Superseded(record) = store.commit(&user, issued(1)).await.unwrap() else {
        panic!("generation 1 is taken");
    };
    assert_eq!(record.generation, Generation::FIRST);
    assert!(record.usable_by(&"client".into()).is_err());
    let acquire = store.acquire(&user, Generation::FIRST, "me", MINUTE, LeaseFrom::Active);
    let errors = [
        acquire.await.err(),
        store.read(&user).await.err(),
        store.commit(&user, issued(2)).await.err(),
    ];
    for error in errors {
        assert_eq!(error.unwrap().kind(), StoreErrorKind::Corrupt);
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_record_set_aside_is_kept_and_lets_in_only_a_new_authorization() {
    let (_scratch, store, user) = stored().await;
    assert_eq!(
        store.set_aside(&user).await.unwrap(),
        None,
        "it can be read"
    );
    assert_eq!(store.set_aside(&name("new")).await.unwrap(), None);
    for (bytes, why) in unreadable(&store, &user).await {
        fs::write(path_of(&store, &user), &bytes).unwrap();
        let aside = store.set_aside(&user).await.unwrap().expect(why);
        assert_eq!(fs::read(aside).unwrap(), bytes);
        let record = read(&store, &user).await;
        assert_eq!(
            (record.status, &record.grant),
            (Status::Revoked, &Grant::default())
        );
        assert!(
            !commit(&store, &user, 1).await.unwrap(),
            "tokens of the start"
        );
        assert!(
            !commit(&store, &user, 1_000_000).await.unwrap(),
            "a rotation under way"
        );
        let decided = Issued::authorized(record.generation.decided(), grant(5), Some(MINUTE));
        assert!(matches!(
            store.commit(&user, decided).await.unwrap(),
            Commit::Committed(_)
        ));
        assert_eq!(read(&store, &user).await.grant, grant(5));
    }
}

/// A store whose changes are written down, and of which those fail that `fails` says, by number.
async fn watched(
    dir: &Path,
    fails: impl Fn(usize, Change) -> bool + Send + Sync + 'static,
) -> (FileStore, Arc<Mutex<Vec<Change>>>) {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let mut builder = FileStore::builder(dir);
    let seen = Arc::clone(&changes);
    let hook = move |change, _: &Path| {
        let mut seen = seen.lock().unwrap();
        seen.push(change);
        if fails(seen.len(), change) {
            return Err(io::Error::from_raw_os_error(28 /* ENOSPC */));
        }
        Ok(())
    };
    builder.disk.hook = Some(Arc::new(hook));
    (builder.open().await.unwrap(), changes)
}

const WRITTEN: [Change; 5] = [
    Change::Create,
    Change::Write,
    Change::SyncFile,
    Change::Rename,
    Change::SyncDir,
];

#[tokio::test]
async fn bytes_are_synced_before_the_rename_and_the_directory_before_the_answer() {
    let (_scratch, dir) = scratch();
    let (store, changes) = watched(&dir, |_, _| false).await;
    let user = name("user");
    let take = || std::mem::take(&mut *changes.lock().unwrap());
    let made: Vec<_> = [Change::MakeDir, Change::SyncDir]
        .into_iter()
        .chain(WRITTEN)
        .collect();
    let opened = take();
    assert_eq!(opened[..2], made[..2], "the directory itself");

    commit(&store, &user, 1).await.unwrap();
    assert_eq!(take(), made, "a shard that was not there");
    let (other, by_other) = watched(&dir, |_, _| false).await;
    by_other.lock().unwrap().clear();
    commit(&other, &user, 2).await.unwrap();
    let by_other = by_other.lock().unwrap().clone();
    assert_eq!(
        by_other,
        made[1..],
        "whoever made the shard may not have synced it"
    );
    commit(&store, &user, 1).await.unwrap();
    take();
    let lease = acquire(&store, &user).await.unwrap();
    assert_eq!(take(), WRITTEN);
    assert_eq!(
        store.intend(&user, &lease, MINUTE).await.unwrap(),
        Guarded::Done
    );
    assert_eq!(take(), WRITTEN);
    let doubt = store.doubt(&user, lease.generation, lease.fence, "why");
    assert_eq!(doubt.await.unwrap(), Guarded::Done);
    assert_eq!(take(), WRITTEN);
    let reject = store.reject(&user, &lease, "why");
    assert_eq!(reject.await.unwrap(), Guarded::Done);
    assert_eq!(take(), WRITTEN);
}

#[tokio::test]
async fn a_step_that_changes_nothing_writes_nothing() {
    let (_scratch, dir) = scratch();
    let (store, changes) = watched(&dir, |_, _| false).await;
    let user = name("user");
    commit(&store, &user, 1).await.unwrap();
    let lease = acquire(&store, &user).await.unwrap();
    let (before, stamp) = (
        tree(&dir),
        fs::metadata(path_of(&store, &user)).unwrap().ino(),
    );
    changes.lock().unwrap().clear();

    read(&store, &user).await;
    assert!(changes.lock().unwrap().is_empty());
    assert!(!commit(&store, &user, 1).await.unwrap());
    assert!(acquire(&store, &user).await.is_none());
    let doubt = store.doubt(&user, lease.generation, lease.fence, "why");
    assert_eq!(doubt.await.unwrap(), Guarded::Refused);
    // What another process wrote and may not have synced: the answer relies on it.
    assert_eq!(*changes.lock().unwrap(), [Change::SyncDir; 3]);
    assert_eq!(tree(&dir), before);
    assert_eq!(fs::metadata(path_of(&store, &user)).unwrap().ino(), stamp);
}

#[tokio::test]
async fn a_disk_that_fails_at_any_change_loses_nothing_and_is_used_again_later() {
    for failing in 1..=WRITTEN.len() {
        let (_scratch, dir) = scratch();
        let at = Arc::new(AtomicUsize::new(usize::MAX));
        let fail_at = Arc::clone(&at);
        let fails = move |number, _| number == fail_at.load(Ordering::SeqCst);
        let (store, changes) = watched(&dir, fails).await;
        let user = name("user");
        commit(&store, &user, 1).await.unwrap();
        let before = tree(&dir);

        at.store(changes.lock().unwrap().len() + failing, Ordering::SeqCst);
        let error = commit(&store, &user, 2).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let told = told(&error);
        assert!(
            told.contains("user.json") && told.contains("No space left"),
            "{told}"
        );
        let renamed = failing == WRITTEN.len();
        assert_eq!(
            read(&store, &user).await.grant,
            grant(if renamed { 2 } else { 1 })
        );
        if !renamed {
            assert_eq!(tree(&dir), before, "and nothing is left lying about");
        }
        assert_eq!(commit(&store, &user, 2).await.unwrap(), !renamed);
        assert_eq!(read(&store, &user).await.grant, grant(2));
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused_before_a_token_is_spent() {
    // Making it, the probe, the marker: whatever fails, `open` does.
    let (_scratch, dir) = scratch();
    let (_, changes) = watched(&dir, |_, _| false).await;
    let all = changes.lock().unwrap().len();
    assert_eq!(all, 2 + 7 + 5);
    for failing in 1..=all {
        let (_scratch, dir) = scratch();
        let mut builder = FileStore::builder(&dir);
        let count = AtomicUsize::new(0);
        builder.disk.hook = Some(Arc::new(move |_, _: &Path| {
            if count.fetch_add(1, Ordering::SeqCst) + 1 == failing {
                return Err(io::Error::from_raw_os_error(30 /* EROFS */));
            }
            Ok(())
        }));
        let error = builder.open().await.unwrap_err();
        assert!(
            told(&error).contains("Read-only file system"),
            "{}",
            told(&error)
        );
        FileStore::open(&dir).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_not_read_and_is_cleaned_up() {
    let (_scratch, store, user) = stored().await;
    let path = path_of(&store, &user);
    let (whole, left) = (fs::read(&path).unwrap(), path.with_file_name(".new"));
    for bytes in [&whole[..0], &whole[..40], &whole[..]] {
        fs::write(&left, bytes).unwrap();
        // It may even be unreadable for us.
        fs::set_permissions(&left, fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(read(&store, &user).await.grant, grant(1));
        FileStore::open(store.0.directory.path()).await.unwrap();
        assert!(!left.exists(), "an open cleans up");

        fs::write(&left, bytes).unwrap();
        let lease = acquire(&store, &user).await.unwrap();
        assert!(!left.exists(), "a step uses the place itself");
        let release = store.release(&user, &lease, Duration::ZERO, "why");
        assert_eq!(release.await.unwrap(), Guarded::Done);
    }
    // What somebody is writing at this moment is his.
    let _lock = flocked(path.parent().unwrap());
    fs::write(&left, &whole).unwrap();
    FileStore::open(store.0.directory.path()).await.unwrap();
    assert!(left.exists());
}

/// Holds the lock of a shard, as another process would.
fn flocked(shard: &Path) -> fs::File {
    let file = fs::File::options()
        .write(true)
        .open(shard.join(LOCK))
        .unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_nobody_gives_back_is_an_error_and_holds_up_no_reader() {
    let (_scratch, store, user) = stored().await;
    let lock = flocked(path_of(&store, &user).parent().unwrap());
    let error = commit(&store, &user, 2).await.unwrap_err();
    assert!(
        told(&error).contains("held by somebody else for 10 seconds"),
        "{}",
        told(&error)
    );
    assert_eq!(read(&store, &user).await.grant, grant(1));
    drop(lock);
    assert!(commit(&store, &user, 2).await.unwrap());
}

#[tokio::test]
async fn a_step_that_is_dropped_leaves_the_record_whole_and_the_lock_free() {
    let (_scratch, store, user) = stored().await;
    for polls in 0..6 {
        let generation = read(&store, &user).await.generation.number();
        let mut step: BoxFuture<'_, _> = store.commit(&user, issued(generation + 1));
        for _ in 0..polls {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(step.as_mut().poll(cx)));
            if polled.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(step);
        // It takes the lock after whatever still runs.
        commit(&store, &user, generation + 1).await.unwrap();
        let record = read(&store, &user).await;
        assert_eq!(record.generation.number(), generation + 1);
        assert_eq!(record.grant, grant(generation + 1));
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_is_an_error_and_not_an_unknown_account() {
    let (_scratch, store, user) = stored().await;
    let root = store.0.directory.path();
    let gone = |error: StoreError| {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(told(&error).contains("store.json"), "{}", told(&error));
    };
    let elsewhere = root.with_file_name("elsewhere");
    fs::rename(root, &elsewhere).unwrap();
    gone(store.read(&user).await.unwrap_err());
    gone(commit(&store, &user, 2).await.unwrap_err());
    // As the place is where a file system is not mounted.
    fs::create_dir(root).unwrap();
    gone(store.read(&user).await.unwrap_err());
    gone(commit(&store, &user, 2).await.unwrap_err());
    assert!(tree(root).is_empty());

    fs::remove_dir(root).unwrap();
    fs::rename(&elsewhere, root).unwrap();
    assert_eq!(read(&store, &user).await.grant, grant(1));
    // Gone for good: whoever opens it anew makes it work for all, and this process knows more.
    fs::remove_dir_all(root).unwrap();
    FileStore::open(root).await.unwrap();
    assert!(commit(&store, &user, 2).await.unwrap());
}

#[tokio::test]
async fn a_directory_of_another_realm_or_use_is_refused() {
    let (_scratch, dir) = scratch();
    let open = |realm: Option<&str>| {
        let builder = FileStore::builder(&dir);
        match realm {
            Some(realm) => builder.realm(realm).open(),
            None => builder.open(),
        }
    };
    open(Some("client-1")).await.unwrap();
    open(Some("client-1")).await.unwrap();
    for realm in [Some("client-2"), None] {
        let error = open(realm).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
        let told = told(&error);
        assert!(
            told.contains("realm \"client-1\"") && told.contains("store.json"),
            "{told}"
        );
    }
    let later = fs::read_to_string(dir.join("store.json")).unwrap();
    fs::write(dir.join("store.json"), later.replace(":1", ":2")).unwrap();
    assert_eq!(
        open(Some("client-1")).await.unwrap_err().kind(),
        StoreErrorKind::Unsuitable
    );
    fs::write(dir.join("store.json"), "").unwrap();
    assert_eq!(
        open(None).await.unwrap_err().kind(),
        StoreErrorKind::Corrupt
    );
}

#[tokio::test]
async fn what_others_may_write_to_and_cannot_be_changed_is_refused_and_named() {
    let (_scratch, store, user) = stored().await;
    let (root, record) = (store.0.directory.path(), path_of(&store, &user));
    let shard = record.parent().unwrap();
    for path in [
        root.to_owned(),
        root.join("store.json"),
        root.join(LOCK),
        shard.to_owned(),
        shard.join(LOCK),
        record.clone(),
    ] {
        let mode = fs::metadata(&path).unwrap().mode();
        for (added, refused) in [(0o020, true), (0o002, true), (0o044, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | added)).unwrap();
            let mut builder = FileStore::builder(root);
            builder.disk.hook = Some(Arc::new(|change, _: &Path| match change {
                Change::SetMode => Err(io::Error::from_raw_os_error(1 /* EPERM */)),
                _ => Ok(()),
            }));
            let opened = builder.open().await;
            assert_eq!(opened.is_err(), refused, "{added:o} {}", path.display());
            if let Err(error) = opened {
                assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
                let told = told(&error);
                let wanted = format!("{}: its mode is", path.display());
                assert!(
                    told.contains(&wanted) && told.contains("not permitted"),
                    "{told}"
                );
            }
            FileStore::open(root).await.unwrap();
            let open_to_all = fs::metadata(&path).unwrap().mode() & 0o022;
            assert_eq!(open_to_all, 0, "{}", path.display());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let file = root.join("file");
    fs::write(&file, "").unwrap();
    FileStore::open(&file).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_watchers_of_this_store_at_once_and_of_others_soon() {
    let (_scratch, store, user) = stored().await;
    let other = FileStore::open(store.0.directory.path()).await.unwrap();
    let (mut here, mut there) = (store.watch(&user), other.watch(&user));
    let mut elsewhere = other.watch(&name("nobody"));
    commit(&store, &user, 2).await.unwrap();
    // Less than any poll takes.
    tokio::time::timeout(Duration::from_millis(45), here.changed())
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(10), there.changed())
        .await
        .unwrap();
    let quiet = Duration::from_millis(400);
    for watch in [&mut here, &mut there, &mut elsewhere] {
        tokio::time::timeout(quiet, watch.changed())
            .await
            .unwrap_err();
    }
}

#[test]
fn of_many_threads_on_two_stores_one_gets_the_lease() {
    let (_scratch, dir) = scratch();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(8)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stores = [
            FileStore::open(&dir).await.unwrap(),
            FileStore::open(&dir).await.unwrap(),
        ];
        for round in 0..10 {
            let user = name(&format!("user-{round}"));
            commit(&stores[0], &user, 1).await.unwrap();
            let start = Arc::new(tokio::sync::Barrier::new(16));
            let mut racers = tokio::task::JoinSet::new();
            for racer in 0..16 {
                let (store, user) = (stores[racer % 2].clone(), user.clone());
                let start = Arc::clone(&start);
                racers.spawn(async move {
                    start.wait().await;
                    acquire(&store, &user).await.is_some()
                });
            }
            let won = racers.join_all().await;
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}");
            assert_eq!(read(&stores[0], &user).await.fence.number(), 1);
        }
    });
}
