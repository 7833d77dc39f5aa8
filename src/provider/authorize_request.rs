use crate::authorization_code::random_text;

/// What a user's browser is to bring back, and by what this client knows it again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuthorizeRequest<'a> {
    /// Comes back with the code: it ties the answer to the browser that asked (RFC 6749 §10.12), so
    /// nobody else may know it before.
    pub state: &'a str,
    /// `S256` of the verifier that goes with the code (RFC 7636 §4.2), if there is one.
    pub code_challenge: Option<&'a str>,
}

impl<'a> AuthorizeRequest<'a> {
    /// With this state, and without a code challenge.
    pub const fn new(state: &'a str) -> Self {
        Self {
            state,
            code_challenge: None,
        }
    }

    /// A state that nobody can guess, for one authorization: 43 characters that no encoding changes.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes to give.
    pub fn random_state() -> String {
        random_text()
    }
}
