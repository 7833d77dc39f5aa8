//! The pairs of a query or a form, put in order and spelled as they are signed.

use std::cmp::Ordering;

use super::query::{Pair, plain_key};
use crate::sign::Text;
use crate::sign::encode::{OddBytes, recode};
use crate::sign::spill::Spill;

/// The [key](plain_key) of the name `token`, which no other name has.
const TOKEN: u64 = u64::from_be_bytes(*b"token\0\0\0");

/// Appends the pairs of `query` in canonical form, if no pair needs another spelling or a closer look;
/// otherwise returns `false` and appends nothing. In most queries none does, and finding that out is
/// cheaper than gathering the pairs. `token` is the canonical value that `token` is likely to have, by
/// far the longest, which is compared as a whole; empty if none is.
///
/// `query` is shorter than 4 GiB.
#[inline(never)]
pub(super) fn write_clean(query: &[u8], token: &[u8], out: &mut Text) -> bool {
    // Of each pair the key, where it begins and where it ends: in this order, so that they can be
    // sorted as they are, and two pairs of one name stay in theirs.
    let mut order = Spill::<u128, 32>::new();
    let mut in_order = true;
    let mut last_key = 0;
    let mut odd = OddBytes::new(query);
    let mut start = 0;
    loop {
        let rest = query.get(start..).unwrap_or_default();
        let equals = odd.next();
        if query.get(equals) != Some(&b'=') {
            return false;
        }
        let key = plain_key(rest, equals - start);
        if key == TOKEN
            && query
                .get(equals + 1..)
                .is_some_and(|it| it.starts_with(token))
        {
            odd.skip_to(equals + 1 + token.len());
        }
        let end = odd.next();
        // An empty value may have to be left out.
        if end <= equals + 1 {
            return false;
        }
        in_order &= last_key < key;
        last_key = key;
        order.push(u128::from(key) << 64 | (start as u128) << 32 | end as u128);
        match query.get(end) {
            None => break,
            Some(b'&') => start = end + 1,
            Some(_) => return false,
        }
    }
    if in_order {
        out.extend(query);
        return true;
    }
    let order = order.as_mut_slice();
    order.sort_unstable();
    // Names that fill the key may differ in what it does not hold.
    let key = |pair: &u128| pair >> 64;
    let settled = |a: &u128, b: &u128| key(a) != key(b) || key(a).to_le_bytes()[0] == 0;
    if !order.is_sorted_by(settled) {
        return false;
    }
    for (place, pair) in order.iter().enumerate() {
        if place > 0 {
            out.push(b'&');
        }
        #[expect(clippy::cast_possible_truncation, reason = "one place and the other")]
        let (start, end) = ((*pair >> 32) as u32, *pair as u32);
        let pair = query.get(start as usize..end as usize);
        out.extend(pair.unwrap_or_default());
    }
    true
}

/// Appends the pairs in canonical form: ordered by decoded name, pairs of one name in the order
/// they came in.
#[inline]
pub(super) fn write_canonical(pairs: &[Pair<'_>], empty_values: bool, out: &mut Text) {
    // Numbers are sorted in place of pairs: the key, then the place. They are in order unless two
    // names differ in what the key does not hold.
    let mut order = Spill::<u128, 32>::new();
    for (place, pair) in (0_u32..).zip(pairs) {
        order.push(u128::from(pair.key) << 64 | u128::from(place));
    }
    let order = order.as_mut_slice();
    order.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the place is in the low half"
    )]
    let pair_at = |number: &u128| &pairs[*number as u32 as usize];
    let in_order = |a: &u128, b: &u128| {
        a >> 64 < b >> 64 || pair_at(a).cmp_names(pair_at(b)) != Ordering::Greater
    };
    if !order.is_sorted_by(in_order) {
        order.sort_unstable_by(|a, b| pair_at(a).cmp(pair_at(b)).then(a.cmp(b)));
    }

    let mut first = true;
    for pair in order.iter().map(pair_at) {
        if !empty_values && pair.value().is_empty() {
            continue;
        }
        if !first {
            out.push(b'&');
        }
        first = false;
        if pair.canonical {
            out.extend(pair.text());
            continue;
        }
        if pair.canonical_name {
            out.extend(pair.name());
        } else {
            recode(pair.name(), out);
        }
        out.push(b'=');
        recode(pair.value(), out);
    }
}
