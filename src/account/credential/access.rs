/// May we sign?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::account) enum Access {
    /// The access token lives.
    Live,
    /// It lives, and it is time to fetch the next.
    Aging,
    /// It has ended, or the API refused this generation.
    Dead,
}
