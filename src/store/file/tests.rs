use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::io::Errno;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;

use super::*;
use crate::Timestamp;
use crate::sign::hex;
use crate::store::directory::{Change, Changes, Disk, FileName, LOCK};
use crate::store::error::with_causes;
use crate::store::fixture::{draft, grant, issued, name, read};
use crate::store::{Commit, Grant, Issued, Status, StoreErrorKind};

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

async fn is_grant(store: &FileStore, user: &AccountName, number: u64) -> bool {
    read(store, user).await.secrets.are(&grant(number))
}

fn path_of(store: &FileStore, user: &AccountName) -> PathBuf {
    File::of(&store.0, user).path
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

/// The same without what others may miss.
fn records(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(dir);
    files.remove(&dir.join("changes"));
    files
}

#[tokio::test]
async fn nobody_else_may_read_what_is_written() {
    let (_scratch, store, user) = stored().await;
    store.revoke(&user).await.unwrap();
    fs::write(path_of(&store, &user), "damaged").unwrap();
    store.revoke(&user).await.unwrap();
    let root = store.0.directory.path();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let shard = store.0.directory.shard(FileName::of(&user).shard);
    assert_eq!((mode(root), mode(&shard)), (0o700, 0o700));
    let files = tree(root);
    // The marker, two locks, the changes, a record, a copy of one.
    assert_eq!(files.len(), 6, "{files:?}");
    for path in files.keys() {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn secrets_stay_out_of_the_part_for_people() {
    let (_scratch, store, user) = stored().await;
    let text = fs::read_to_string(path_of(&store, &user)).unwrap();
    let header = text.lines().nth(1).unwrap();
    assert!(header.contains(r#""account":"user","#), "{text}");
    assert!(header.contains(r#""generation":1,"#), "{text}");
    for secret in ["AT-1", "KEY-1", "RT-1"] {
        assert!(!text.contains(secret));
    }
    let shown = format!("{store:?} {:?}", FileStore::builder("dir").label("r"));
    assert!(shown.contains("tokens") && shown.contains("dir"), "{shown}");
}

/// Files that are no record of `user`, and what is said of each.
async fn unreadable(store: &FileStore, user: &AccountName) -> Vec<(Vec<u8>, &'static str)> {
    let good = fs::read(path_of(store, user)).unwrap();
    let other = name("other");
    commit(store, &other, 1).await.unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let later = text.replacen("record 1", "record 2", 1).into();
    let others = fs::read(path_of(store, &other)).unwrap();
    vec![
        (Vec::new(), "it is empty"),
        (good[..good.len() - 1].to_vec(), "damaged or cut short"),
        (vec![0; good.len()], "damaged or cut short"),
        (later, "of version 2, this program knows 1"),
        (others, "of another account, \"other\""),
    ]
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_never_absent_and_only_a_revocation_replaces_it() {
    let (_scratch, store, user) = stored().await;
    let path = path_of(&store, &user);
    let mut seen = None;
    for (bytes, why) in unreadable(&store, &user).await {
        fs::write(&path, &bytes).unwrap();
        let loaded = store.load(&user).await.unwrap();
        let version = loaded.version().unwrap();
        let error = loaded.into_record().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        let told = with_causes(&error);
        let named = told.contains(path.to_str().unwrap());
        assert!(named && told.contains(why), "{told}");
        let error = store.commit(&user, issued(9)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        // Nor does a draft over what stood before, or over nothing.
        for expected in [None, seen, Some(Version::draw())] {
            let replaced = store.replace(&user, expected, &draft(9)).await.unwrap();
            let Replaced::Refused(standing) = replaced else {
                panic!("{why}: {expected:?} does not stand")
            };
            assert_eq!(standing.version(), Some(version));
        }
        seen = Some(version);
        assert_eq!(fs::read(&path).unwrap(), bytes);

        store.revoke(&user).await.unwrap();
        let copy = format!("user.unreadable-{}", version.number());
        assert_eq!(fs::read(path.with_file_name(copy)).unwrap(), bytes);
        let record = read(&store, &user).await;
        assert_eq!(record.status, Status::Revoked);
        assert!(record.secrets.are(&Grant::default()));
        // Neither the tokens of the start nor a rotation under way.
        assert!(!commit(&store, &user, 1).await.unwrap());
        assert!(!commit(&store, &user, 1_000_000).await.unwrap());
        let decided = Issued::authorized(record.generation.decided(), grant(5), None);
        let decided = store.commit(&user, decided).await.unwrap();
        assert!(matches!(decided, Commit::Committed(_)));
        assert!(is_grant(&store, &user, 5).await);
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
async fn secrets_of_a_later_form_are_superseded_or_given_up_and_a_copy_is_kept() {
    let (_scratch, store, user) = stored().await;
    let path = path_of(&store, &user);
    let bytes = of_a_later_form(&fs::read(&path).unwrap());
    fs::write(&path, &bytes).unwrap();
    let Commit::Superseded(record) = store.commit(&user, issued(1)).await.unwrap() else {
        panic!("generation 1 is taken");
    };
    let error = record.grant().unwrap_err();
    assert!(
        with_causes(&error).contains("user.json: "),
        "{}",
        with_causes(&error)
    );
    let error = store.commit(&user, issued(2)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    store.revoke(&user).await.unwrap();
    let copy = format!("user.unreadable-{}", record.version.number());
    assert_eq!(fs::read(path.with_file_name(copy)).unwrap(), bytes);
}

/// To be opened on a disk whose changes are written down, and of which those fail that `fails` says.
fn on_disk(
    dir: &Path,
    fails: impl Fn(usize, Change) -> Option<Errno> + Send + Sync + 'static,
) -> (FileStoreBuilder, Changes) {
    let (disk, changes) = Disk::watched(fails);
    let mut builder = FileStore::builder(dir);
    builder.disk = disk;
    (builder, changes)
}

async fn watched(dir: &Path) -> (FileStore, Changes) {
    let (builder, changes) = on_disk(dir, |_, _| None);
    (builder.open().await.unwrap(), changes)
}

#[tokio::test]
async fn bytes_are_synced_before_the_rename_and_the_directory_before_the_answer() {
    let (_scratch, dir) = scratch();
    let (store, changes) = watched(&dir).await;
    let user = name("user");
    let take = || std::mem::take(&mut *changes.lock().unwrap());
    let made = [&[Change::MakeDir, Change::SyncDir], &Change::WRITTEN[..]].concat();
    let opened = take();
    assert_eq!(opened[..2], made[..2], "the directory itself");

    commit(&store, &user, 1).await.unwrap();
    assert_eq!(take(), made, "a shard that was not there");
    let (other, by_other) = watched(&dir).await;
    by_other.lock().unwrap().clear();
    commit(&other, &user, 2).await.unwrap();
    let by_other = by_other.lock().unwrap().clone();
    // The answer that something stands already is as durable as a write.
    assert_eq!(by_other[0], Change::SyncDir);
    // Whoever made the shard may not have synced it.
    assert_eq!(by_other[1..], made[1..]);
    let standing = read(&store, &user).await.version;
    let told = || fs::metadata(dir.join("changes")).unwrap().len();
    take();
    let before = told();
    let rotating = Draft {
        status: Status::Sending,
        ..draft(2)
    };
    let replace = async |expected, draft: &Draft| {
        let replaced = store.replace(&user, Some(expected), draft).await;
        assert!(matches!(replaced, Ok(Replaced::Done(_))));
        assert_eq!(take(), Change::WRITTEN);
    };
    replace(standing, &rotating).await;
    assert_eq!(told(), before, "nobody waits for the begin of a rotation");
    replace(rotating.version, &draft(3)).await;
    assert!(told() > before);
}

#[tokio::test]
async fn a_draft_that_is_refused_writes_nothing_and_what_stands_is_durable() {
    let (_scratch, dir) = scratch();
    let (store, changes) = watched(&dir).await;
    let user = name("user");
    commit(&store, &user, 1).await.unwrap();
    let before = tree(&dir);
    changes.lock().unwrap().clear();
    read(&store, &user).await;
    assert!(changes.lock().unwrap().is_empty());
    for expected in [None, Some(Version::draw())] {
        let replaced = store.replace(&user, expected, &draft(2)).await;
        assert!(matches!(replaced, Ok(Replaced::Refused(_))));
    }
    // What another process wrote and may not have synced: the answer relies on it.
    assert_eq!(*changes.lock().unwrap(), [Change::SyncDir; 2]);
    assert_eq!(tree(&dir), before);
}

#[tokio::test]
async fn a_disk_that_fails_at_any_change_loses_nothing_and_is_used_again_later() {
    for failing in 1..=Change::WRITTEN.len() {
        let (_scratch, dir) = scratch();
        let at = Arc::new(AtomicUsize::new(usize::MAX));
        let fail_at = Arc::clone(&at);
        let fails = move |number| number == fail_at.load(Ordering::SeqCst);
        let (builder, changes) =
            on_disk(&dir, move |number, _| fails(number).then_some(Errno::NOSPC));
        let store = builder.open().await.unwrap();
        let user = name("user");
        commit(&store, &user, 1).await.unwrap();
        let (before, standing) = (records(&dir), read(&store, &user).await.version);

        at.store(changes.lock().unwrap().len() + failing, Ordering::SeqCst);
        let second = draft(2);
        let replaced = store.replace(&user, Some(standing), &second).await;
        let error = replaced.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let told = with_causes(&error);
        assert!(told.contains("user.json"), "{told}");
        assert!(told.contains("No space left"), "{told}");
        let renamed = failing == Change::WRITTEN.len();
        let standing = read(&store, &user).await.version;
        assert_eq!(standing == second.version, renamed);
        if !renamed {
            assert!(records(&dir) == before, "and nothing is left lying about");
        }
        commit(&store, &user, 3).await.unwrap();
        assert!(is_grant(&store, &user, 3).await);
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused_before_a_token_is_spent() {
    // Making it, the probe, the marker: whatever fails, `open` does.
    let (_scratch, dir) = scratch();
    let (_, changes) = watched(&dir).await;
    let all = changes.lock().unwrap().len();
    assert_eq!(all, 2 + 7 + 5);
    for failing in 1..=all {
        let (_scratch, dir) = scratch();
        let fails = move |number, _| (number == failing).then_some(Errno::ROFS);
        let (builder, _) = on_disk(&dir, fails);
        let told = with_causes(&builder.open().await.unwrap_err());
        assert!(told.contains("Read-only file system"), "{told}");
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
        assert!(is_grant(&store, &user, 1).await);
        FileStore::open(store.0.directory.path()).await.unwrap();
        assert!(!left.exists(), "an open cleans up");

        fs::write(&left, bytes).unwrap();
        let standing = Some(read(&store, &user).await.version);
        store.replace(&user, standing, &draft(1)).await.unwrap();
        assert!(!left.exists(), "a write uses the place itself");
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
    let told = with_causes(&commit(&store, &user, 2).await.unwrap_err());
    assert!(
        told.contains("held by somebody else for 10 seconds"),
        "{told}"
    );
    assert!(is_grant(&store, &user, 1).await);
    drop(lock);
    assert!(commit(&store, &user, 2).await.unwrap());
}

#[tokio::test]
async fn a_directory_that_is_gone_is_an_error_and_not_an_unknown_account() {
    let (_scratch, store, user) = stored().await;
    let root = store.0.directory.path();
    let gone = |error: StoreError| {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(
            with_causes(&error).contains("store.json"),
            "{}",
            with_causes(&error)
        );
    };
    let elsewhere = root.with_file_name("elsewhere");
    fs::rename(root, &elsewhere).unwrap();
    gone(store.load(&user).await.unwrap_err());
    gone(commit(&store, &user, 2).await.unwrap_err());
    // As the place is where a file system is not mounted.
    fs::create_dir(root).unwrap();
    gone(store.load(&user).await.unwrap_err());
    gone(commit(&store, &user, 2).await.unwrap_err());
    assert!(tree(root).is_empty());

    fs::remove_dir(root).unwrap();
    fs::rename(&elsewhere, root).unwrap();
    assert!(is_grant(&store, &user, 1).await);
    // Gone for good: whoever opens it anew makes it work for all, and this process knows more.
    fs::remove_dir_all(root).unwrap();
    FileStore::open(root).await.unwrap();
    assert!(commit(&store, &user, 2).await.unwrap());
}

#[tokio::test]
async fn a_directory_of_another_label_or_use_is_refused() {
    let (_scratch, dir) = scratch();
    let open = |label: Option<&str>| {
        let builder = FileStore::builder(&dir);
        match label {
            Some(label) => builder.label(label).open(),
            None => builder.open(),
        }
    };
    open(Some("client-1")).await.unwrap();
    open(Some("client-1")).await.unwrap();
    for label in [Some("client-2"), None] {
        let error = open(label).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
        let told = with_causes(&error);
        assert!(told.contains("label \"client-1\""), "{told}");
        assert!(told.contains("store.json"), "{told}");
    }
    let marker = fs::read_to_string(dir.join("store.json")).unwrap();
    for (marker, kind) in [
        (marker.replace(":1", ":2"), StoreErrorKind::Unsuitable),
        (String::new(), StoreErrorKind::Corrupt),
    ] {
        fs::write(dir.join("store.json"), marker).unwrap();
        assert_eq!(open(Some("client-1")).await.unwrap_err().kind(), kind);
    }
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
        root.join("changes"),
        shard.to_owned(),
        shard.join(LOCK),
        record.clone(),
    ] {
        let mode = fs::metadata(&path).unwrap().mode();
        for (added, refused) in [(0o020, true), (0o002, true), (0o044, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode | added)).unwrap();
            let fails = |_, change| (change == Change::SetMode).then_some(Errno::PERM);
            let (builder, _) = on_disk(root, fails);
            let opened = builder.open().await;
            assert_eq!(opened.is_err(), refused, "{added:o} {}", path.display());
            if let Err(error) = opened {
                assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
                let told = with_causes(&error);
                let wanted = format!("{}: its mode is", path.display());
                assert!(told.contains(&wanted), "{told}");
                assert!(told.contains("not permitted"), "{told}");
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

/// Puts a record there without a sync, for there are many.
fn put(store: &FileStore, account: &AccountName, number: u64) {
    let path = path_of(store, account);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let record = draft(number).at(Timestamp::from_secs(1));
    fs::write(path, record.to_bytes(account).unwrap()).unwrap();
}

async fn listed(store: &FileStore, page: usize) -> Vec<Listed> {
    let mut all: Vec<Listed> = Vec::new();
    loop {
        let after = all.last().map(|last| last.account.clone());
        let listed = store.list(after.as_ref(), page).await.unwrap();
        assert!(listed.len() <= page);
        if listed.is_empty() {
            return all;
        }
        all.extend(listed);
    }
}

#[tokio::test]
async fn ten_thousand_accounts_are_listed_page_by_page_in_the_order_of_their_names() {
    let (_scratch, dir) = scratch();
    let store = FileStore::open(&dir).await.unwrap();
    let names = (0..10_000).map(|number| name(&format!("User-{number}")));
    let mut names: Vec<_> = names.collect();
    for (number, account) in (1..).zip(&names) {
        put(&store, account, number);
    }
    let listed = listed(&store, 1000).await;
    assert!(names.len() > list::AHEAD);
    names.sort();
    let [first, .., last] = &names[..] else {
        panic!("there are many")
    };
    let record = read(&store, first).await;
    assert_eq!(listed[0], Listed::of(first.clone(), &record));
    assert!(listed.into_iter().map(|it| it.account).eq(names.clone()));
    // What is new is in the next look, also of one who asks for no more than that.
    let [before, after] = ["Uses", "a"].map(name);
    for account in [&before, &after] {
        put(&store, account, 1);
    }
    let next = store.list(Some(last), 1000).await.unwrap();
    assert_eq!(next.len(), 2);
    let next = store.list(Some(&next[0].account), 1).await.unwrap();
    assert_eq!(next[0].account, after);
}

#[tokio::test]
async fn long_names_are_listed_in_their_place_and_what_is_no_record_is_not() {
    let (_scratch, dir) = scratch();
    let store = FileStore::open(&dir).await.unwrap();
    let long = |begin: &str, end: &str| name(&format!("{begin}{}{end}", "é".repeat(100)));
    let mut names = [
        name("a"),
        name("é"),
        name(&"é".repeat(19)),
        name(&"é".repeat(21)),
        name(&"é".repeat(150)),
        long("", "a"),
        long("", "b"),
        long("a", ""),
        long("aa", ""),
        long("b", ""),
    ];
    for (number, account) in (1..).zip(&names) {
        put(&store, account, number);
    }
    names.sort();
    let shard = path_of(&store, &names[0]).parent().unwrap().to_owned();
    for odd in ["é", "%ff", "A", "%61", "elsewhere", "x~y"] {
        let odd = shard.join(format!("{odd}.json"));
        fs::copy(path_of(&store, &names[0]), odd).unwrap();
    }
    fs::copy(path_of(&store, &names[0]), shard.join("a.txt")).unwrap();
    for page in [1, 2, 3, 100] {
        let listed = listed(&store, page).await.into_iter();
        assert!(listed.map(|it| it.account).eq(names.clone()), "{page}");
    }
    // One that cannot be read is listed if its name can, and holds up no other.
    for unreadable in [&names[0], &names[9]] {
        fs::write(path_of(&store, unreadable), "").unwrap();
    }
    let listed = listed(&store, 2).await;
    assert_eq!(listed[0], Listed::unreadable(names[0].clone()));
    assert!(names[9].as_str().len() > 200 && listed.len() == 9);
    fs::remove_dir_all(dir).unwrap();
    store.list(None, 1).await.unwrap_err();
}

#[tokio::test]
async fn a_check_finds_a_disk_that_became_full_and_leaves_nothing_behind() {
    let (_scratch, dir) = scratch();
    let full = Arc::new(AtomicBool::new(false));
    let is_full = Arc::clone(&full);
    let fails = move |change| change == Change::Write && is_full.load(Ordering::Relaxed);
    let (builder, _) = on_disk(&dir, move |_, change| fails(change).then_some(Errno::NOSPC));
    let store = builder.open().await.unwrap();
    commit(&store, &name("user"), 1).await.unwrap();
    store.check().await.unwrap();
    let before = tree(&dir);
    full.store(true, Ordering::Relaxed);
    let error = store.check().await.unwrap_err();
    assert!(with_causes(&error).contains("cannot be written"), "{error}");
    full.store(false, Ordering::Relaxed);
    store.check().await.unwrap();
    assert_eq!(tree(&dir), before);
}
