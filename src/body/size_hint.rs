use http_body::SizeHint;

/// The hint of a body that has `held` bytes in hand, to be sent before what `rest` speaks of.
///
/// An upper bound that no longer fits a `u64` is left out: "unknown" is true, a smaller number
/// is not.
pub(crate) fn after(held: u64, rest: &SizeHint) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(held));
    if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
        hint.set_upper(upper);
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_length_stays_exact() {
        assert_eq!(after(3, &SizeHint::with_exact(4)).exact(), Some(7));
    }

    #[test]
    fn an_unknown_end_stays_unknown() {
        let hint = after(3, &SizeHint::new());
        assert_eq!((hint.lower(), hint.upper()), (3, None));
    }

    #[test]
    fn a_sum_that_does_not_fit_is_no_upper_bound() {
        let hint = after(2, &SizeHint::with_exact(u64::MAX));
        assert_eq!((hint.lower(), hint.upper()), (u64::MAX, None));
    }
}
