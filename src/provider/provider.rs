use std::num::NonZeroU32;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::{
    AllowedAuthorities, AuthorizeRequest, BodyNeeded, EndpointError, Fresh, Grant, GrantType, Head,
    Outcome, Presented, Refusal, RequestParts, Signed,
};
use crate::ClientSecret;
use crate::sign::SignError;

/// What one provider does in its own way: how it is asked for tokens and answers, how it has requests
/// signed and says no. See the [module docs](super).
///
/// Pure: everything comes in as an argument, and what to do comes out. Connections, stores, clocks and
/// retries are not its business.
///
/// One that is shared: what it is made with is the client's configuration. What changes with each
/// rotation is in the [`Credential`](Self::Credential).
pub trait Provider: Send + Sync + 'static {
    /// What signs, made once for each generation: prepared keys, encoded texts.
    type Credential: Send + Sync + 'static;

    /// The client's id: accounts of another client are not this one's to use.
    fn client_id(&self) -> &str;

    /// The client's secret, if there is one, so that what a server or a transport quotes of it goes
    /// into no error.
    fn client_secret(&self) -> Option<&ClientSecret> {
        None
    }

    /// What else of the client's configuration may be a secret, for the same reason. Default: nothing.
    fn other_secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Whether what it was made with can be used. Asked once, before anything is sent.
    ///
    /// # Errors
    ///
    /// Names what cannot.
    fn check(&self) -> Result<(), EndpointError> {
        Ok(())
    }

    /// Where credentials may be sent, unless a layer is told otherwise.
    fn authorities(&self) -> &AllowedAuthorities;

    /// The URL of the token endpoint, which may have another for refreshing.
    fn token_url(&self, grant_type: GrantType) -> &str;

    /// How many requests the token endpoint takes in a second, over all accounts of the client.
    /// Default: no limit is known.
    fn requests_per_second(&self) -> Option<NonZeroU32> {
        None
    }

    /// The one request that presents a refresh token or a code: its method, its path and query in
    /// origin form (or its whole URL, of which the path and query count), headers, body. `Host`,
    /// `User-Agent` and `Accept-Encoding` are set for it.
    ///
    /// Have the secrets in it [wiped](Bytes::from_owner) when it is dropped.
    ///
    /// # Errors
    ///
    /// Names what cannot be sent. Then nothing was presented.
    fn token_request(
        &self,
        presented: Presented<'_>,
        fresh: Fresh,
    ) -> Result<Request<Bytes>, SignError>;

    /// What the answer says became of what was presented. The answer's coding is taken off already.
    ///
    /// If in doubt, say [`Outcome::Ambiguous`]: a token that is called unspent is presented again. Any
    /// bytes need an answer, and no panic.
    fn token_answer(&self, presented: Presented<'_>, answer: &Response<Bytes>) -> Outcome;

    /// Where a user's browser is sent for an authorization code; `None` if this provider does not know.
    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Option<String> {
        let _ = request;
        None
    }

    /// Whether an authorization request has a code challenge (RFC 7636). Default: no.
    fn uses_code_challenge(&self) -> bool {
        false
    }

    /// Prepares what signs with this grant, which has an access token.
    ///
    /// # Errors
    ///
    /// Names what is missing or odd. Then the account does not sign until it is refreshed.
    fn credential(&self, grant: &Grant) -> Result<Self::Credential, SignError>;

    /// Whether the body is signed too, so that it must be read before the request is sent. Default: no.
    fn needs_body(&self, method: &Method, headers: &HeaderMap) -> BodyNeeded {
        let _ = (method, headers);
        BodyNeeded::No
    }

    /// Signs `request`. An error leaves nothing half done.
    ///
    /// # Errors
    ///
    /// Names the part of the request that cannot be signed, and why.
    fn sign(
        &self,
        credential: &Self::Credential,
        request: &RequestParts<'_>,
        fresh: Fresh,
    ) -> Result<Signed, SignError>;

    /// What the head of a response says, and whether its body can say more. Asked once of each
    /// response, on the hot path: look at the status first.
    fn read_head(&self, status: StatusCode, headers: &HeaderMap) -> Head;

    /// What the body says. Called at most once, after [`Head::Read`], with a body of at most 4 KiB,
    /// decoded if it came compressed, never with nothing. The body is whole, unless its rest did not
    /// come in time, or could not be an answer in JSON: without a length and an error status it is
    /// read only while it is a JSON object that has not ended. So the bytes may be cut short and may
    /// be no JSON at all: then the answer is what the head alone says.
    ///
    /// Default: what the head says counts, and nothing is a refusal.
    fn read_body(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Refusal> {
        let _ = (status, headers, body);
        None
    }
}
