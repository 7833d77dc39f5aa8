/// A revision of draft-ietf-oauth-v2-http-mac, by which a server checks requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Draft {
    /// Revision 00: a nonce that begins with the age of the key, and if wanted a hash of the body.
    V00,
    /// Revisions 01 and 02, which sign alike: a timestamp and a nonce.
    V01,
}
