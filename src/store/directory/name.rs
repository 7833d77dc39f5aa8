//! Account names as file names.

use std::cmp::Ordering;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::{Digest as _, Sha1};

use crate::sign::hex;
use crate::store::AccountName;

/// Longer ones are cut, and told apart by a hash. A file name has 255 bytes on the common file
/// systems, and something follows.
const LONGEST: usize = 160;

/// What stands before the hash of one that was cut. No other stem has it.
const CUT: char = '~';

/// Lower case, digits, `-` and `_` stand for themselves. Capitals do not: some file systems take
/// `A` for `a`. Nor do dots, which have meanings.
const ENCODED: &AsciiSet = &{
    let mut set = NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    let mut capital = b'A';
    while capital <= b'Z' {
        set = set.add(capital);
        capital += 1;
    }
    set
};

/// Where the files of an account are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct FileName {
    /// One of 256 directories, so that none grows large and few accounts wait for one lock.
    pub(in crate::store) shard: u8,
    /// What the names of its files begin with. No dot is in it.
    pub(in crate::store) stem: String,
}

impl FileName {
    /// Two accounts may share one only if their names are long and have the same SHA-1, so that
    /// files also say whose they are.
    pub(in crate::store) fn of(account: &AccountName) -> Self {
        let hash = Sha1::digest(account.as_str());
        let mut stem = utf8_percent_encode(account.as_str(), ENCODED).to_string();
        if stem.len() > LONGEST {
            let room = LONGEST - 41;
            // Not within what stands for one byte.
            let last = stem[..room].rfind('%').filter(|last| last + 3 > room);
            stem.truncate(last.unwrap_or(room));
            stem.push(CUT);
            stem.push_str(&hex(&hash));
        }
        Self {
            shard: hash[0],
            stem,
        }
    }

    /// The account whose files are here; `None` if the stem was cut, or is of no account's.
    pub(in crate::store) fn account(&self) -> Option<AccountName> {
        let name = percent_decode_str(&self.stem).decode_utf8().ok()?;
        let account = AccountName::new(&name).ok()?;
        (Self::of(&account) == *self).then_some(account)
    }

    /// How the name of the account compares to this one, by its bytes; `None` if the stem was cut
    /// too early to tell.
    pub(in crate::store) fn compare(&self, name: &AccountName) -> Option<Ordering> {
        let cut = self.stem.split_once(CUT);
        let mut ours = percent_decode_str(cut.map_or(&self.stem, |(begin, _)| begin));
        let mut theirs = name.as_str().bytes();
        loop {
            match (ours.next(), theirs.next()) {
                (Some(our), Some(their)) if our == their => {}
                (None, _) if cut.is_some() => return None,
                (our, their) => return Some(our.cmp(&their)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn stem(name: &str) -> String {
        FileName::of(&AccountName::new(name).unwrap()).stem
    }

    #[test]
    fn odd_names_become_plain_files() {
        assert_eq!(stem("user-42"), "user-42");
        assert_eq!(stem("../.."), "%2E%2E%2F%2E%2E");
        assert_eq!(stem("Ann"), "%41nn");
        assert_eq!(stem("小米"), "%E5%B0%8F%E7%B1%B3");
    }

    #[test]
    fn long_names_are_told_apart_by_their_ends() {
        let long = "x".repeat(511);
        let names: Vec<_> = ["a", "b", "A", ""]
            .map(|end| stem(&format!("{long}{end}")))
            .into();
        assert!(names.iter().all(|stem| stem.len() == LONGEST));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 4);
        for begin in ["", "x", "xx"] {
            let stem = stem(&format!("{begin}{}", "é".repeat(100)));
            let (whole, _) = stem.split_once(CUT).unwrap();
            assert!(whole.rfind('%') == Some(whole.len() - 3), "{stem}");
        }
    }

    proptest! {
        #[test]
        fn two_names_never_share_a_file_on_any_file_system(one in "\\PC{1,60}", other in "\\PC{1,60}") {
            let [a, b] = [&one, &other].map(|name| stem(name));
            for stem in [&a, &b] {
                prop_assert!(stem.len() <= LONGEST);
                prop_assert!(stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_%~".contains(&b)));
            }
            prop_assert_eq!(one == other, a.eq_ignore_ascii_case(&b));
            // The likeliest to be taken for one another.
            let (upper, lower) = (one.to_uppercase(), one.to_lowercase());
            prop_assume!(upper.len() <= 512 && lower.len() <= 512);
            prop_assert_eq!(upper == lower, stem(&upper).eq_ignore_ascii_case(&stem(&lower)));
        }

        #[test]
        fn a_stem_tells_its_name_and_the_order_of_names(
            one in "\\PC{1,3}|\\PC{100,120}", other in "\\PC{1,3}|\\PC{100,120}", common in "\\PC{0,3}",
        ) {
            let [one, other] =
                [one, other].map(|end| AccountName::new(&format!("{common}{end}")).unwrap());
            let name = FileName::of(&one);
            let cut = name.stem.contains(CUT);
            prop_assert_eq!(name.account(), (!cut).then(|| one.clone()));
            match name.compare(&other) {
                Some(order) => prop_assert_eq!(order, one.cmp(&other)),
                None => prop_assert!(cut),
            }
        }
    }
}
