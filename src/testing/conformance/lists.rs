//! Page by page through the accounts.

use super::{Subject, draft, grant, name};
use crate::store::{AccountName, Draft, Listed, RecordStore as _, Status, Version};

impl Subject {
    /// All accounts whose names begin with this one's, in pages of so many.
    async fn listed(&self, page: usize) -> Vec<Listed> {
        let (mut after, mut all) = (Some(self.name.clone()), Vec::new());
        loop {
            let listed = self.one.list(after.as_ref(), page).await.unwrap();
            assert!(listed.len() <= page);
            let ours = |it: &Listed| it.account.as_str().starts_with(self.name.as_str());
            let end = listed.len() < page || !listed.iter().all(ours);
            after = listed.last().map(|last| last.account.clone());
            all.extend(listed.into_iter().filter(ours));
            if end {
                return all;
            }
        }
    }

    async fn make(&self, end: &str, draft: &Draft) -> AccountName {
        let account = Self {
            name: name(&format!("{}{end}", self.name)),
            ..self.clone()
        };
        account.replace(None, draft).await;
        account.name
    }
}

pub(super) async fn every_name_is_an_account_of_its_own_and_pages_have_each_once_in_order(
    subject: Subject,
) {
    let mut names = Vec::new();
    // By bytes: capitals first, and what is not ASCII last. Each is an account of its own.
    let long = "x".repeat(512 - subject.name.as_str().len() - 1);
    let ends = [
        "b",
        "a",
        "B",
        "é",
        "a/b",
        "/../a",
        "%41",
        "_",
        "小",
        " ",
        "\u{1f511}",
        "'\"\\*",
    ];
    let ends = ends.map(str::to_owned).into_iter();
    let ends = ends.chain(["a", "c"].map(|end| format!("{long}{end}")));
    for (number, end) in (1..).zip(ends) {
        names.push((subject.make(&end, &draft(number)).await, number));
    }
    for (account, number) in &names {
        let loaded = subject.other.load(account).await.unwrap();
        let record = loaded.into_record().unwrap().unwrap();
        assert!(record.secrets.are(&grant(*number)), "{account}");
    }
    let mut names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
    names.sort();
    for page in [1, 2, 5, 1000] {
        let listed = subject.listed(page).await.into_iter();
        assert_eq!(listed.map(|it| it.account).collect::<Vec<_>>(), names);
    }
    let from_the_start = subject.other.list(None, 3).await.unwrap();
    assert_eq!(from_the_start.len(), 3);
    assert!(subject.one.list(None, 0).await.unwrap().is_empty());
}

pub(super) async fn a_list_says_what_stands(subject: Subject) {
    let revoked = Draft {
        status: Status::Revoked,
        expires_at: None,
        ..draft(7)
    };
    let account = subject.make("a", &draft(3)).await;
    subject.make("b", &revoked).await;
    let [first, second] = subject.swapped().listed(10).await.try_into().unwrap();
    let record = subject.one.load(&account).await.unwrap();
    let record = record.into_record().unwrap().unwrap();
    assert_eq!(first, Listed::of(account, &record));
    let second = second.head.unwrap();
    assert_eq!((second.status, second.expires_at), (Status::Revoked, None));
    assert_eq!(second.generation.number(), 7);
    // And what was changed since.
    let later = Draft {
        version: Version::draw(),
        ..draft(4)
    };
    let replaced = subject
        .one
        .replace(&first.account, Some(record.version), &later);
    replaced.await.unwrap();
    let listed = subject.listed(10).await;
    assert_eq!(listed[0].head.unwrap().generation.number(), 4);
}
