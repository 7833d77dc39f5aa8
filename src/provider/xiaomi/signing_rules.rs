use http::uri::PathAndQuery;

use super::canonical::{write_canonical, write_clean};
use super::header::authorization;
use super::query::{Pair, Pairs, each_pair};
use super::target::rewritten;
use super::{Credential, Nonce};
use crate::provider::{RequestParts, Signed};
use crate::sign::lines::{checked_path, write_host, write_method};
use crate::sign::{SignError, Text};

/// The largest query and form taken, together.
const MAX_PAIRS: usize = 64 * 1024;
const TOO_LONG: &str = "makes more than 64 KiB of pairs to sign";
const IN_BOTH: &str = "has clientId or token, which the signer puts into the query";

/// How requests are signed, where the vendor's documents and its SDKs differ. See the [module
/// docs](super).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "four knobs, each on or off")]
pub struct SigningRules {
    empty_values: bool,
    form: bool,
    query_credentials: bool,
    accept_malformed_query: bool,
}

impl Default for SigningRules {
    fn default() -> Self {
        Self {
            empty_values: false,
            form: false,
            query_credentials: true,
            accept_malformed_query: false,
        }
    }
}

impl SigningRules {
    /// Signs as the vendor's documents say, and no more: empty values are left out, forms are not
    /// signed, `clientId` and `token` are put into the query, a malformed query is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether pairs with an empty value (`a=`, and `a` alone) are signed. Off by default: the
    /// documents leave them out, though the vendor's SDKs sign them. Leave empty values out of the
    /// request, and both interpretations sign the same bytes.
    pub const fn sign_empty_values(mut self, sign: bool) -> Self {
        self.empty_values = sign;
        self
    }

    /// Whether the pairs of a form body are signed as if they were in the query. Off by default. If it
    /// is on, the body is read before the request is sent: a form of more than 64 KiB is refused, and so is
    /// one that has `clientId` or `token`, which the signer puts into the query.
    pub const fn sign_form(mut self, sign: bool) -> Self {
        self.form = sign;
        self
    }

    /// Whether the signer puts `clientId` and `token` into the query. On by default: every documented
    /// call wants them. Then pairs of the caller's with these names, in any spelling, are replaced;
    /// the caller's other pairs stay as they are, in their order.
    ///
    /// Without a [client id](Credential::with_client_id) only `token` is put there and replaced.
    pub const fn query_credentials(mut self, put: bool) -> Self {
        self.query_credentials = put;
        self
    }

    /// Whether a query or form with bad percent escapes, control characters or raw non-ASCII is
    /// signed all the same. Off by default: such a request is refused, because two servers may read
    /// it in two ways. If it is on, the request is signed as the vendor's SDKs sign it: a `%` that
    /// begins no escape is a percent sign, and any other byte is itself.
    pub const fn accept_malformed_query(mut self, accept: bool) -> Self {
        self.accept_malformed_query = accept;
        self
    }

    /// Signs `request` with `credential`; `nonce` must not have been used before.
    ///
    /// # Errors
    ///
    /// Names the part of the request that cannot be signed, and why.
    #[inline]
    pub fn sign(
        &self,
        credential: &Credential,
        request: &RequestParts<'_>,
        nonce: &Nonce,
    ) -> Result<Signed, SignError> {
        let mut text = Text::new();
        let mut sent = None;
        self.write(
            &mut text,
            Signer::Known(credential),
            request,
            nonce,
            &mut sent,
        )?;
        let authorization = authorization(credential, nonce, text.as_slice())?;
        Ok(Signed::of(authorization, sent))
    }

    /// Whether the body of a form is signed.
    #[inline]
    pub(crate) const fn signs_form(&self) -> bool {
        self.form
    }

    /// Whether the credential is in the query.
    #[inline]
    pub(crate) const fn puts_query_credentials(&self) -> bool {
        self.query_credentials
    }

    /// The canonical string of `request`: what is signed. It holds the access token when the
    /// query does.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign).
    pub fn canonical(
        &self,
        credential: &Credential,
        request: &RequestParts<'_>,
        nonce: &Nonce,
    ) -> Result<String, SignError> {
        let mut text = Text::new();
        self.write(
            &mut text,
            Signer::Known(credential),
            request,
            nonce,
            &mut None,
        )?;
        Ok(String::from_utf8_lossy(text.as_slice()).into_owned())
    }

    /// The five lines; `sent` becomes the path and query to send, if they are not the caller's.
    #[inline]
    pub(crate) fn write(
        &self,
        out: &mut Text,
        signer: Signer<'_>,
        request: &RequestParts<'_>,
        nonce: &Nonce,
        sent: &mut Option<PathAndQuery>,
    ) -> Result<(), SignError> {
        let credential = match signer {
            Signer::Known(credential) => Some(credential),
            Signer::Client { .. } | Signer::Xiaomi => None,
        };
        if credential.is_some_and(|credential| credential.access_token().expose_secret().is_empty())
        {
            return Err(SignError::empty("access_token"));
        }
        nonce.write(out);
        write_method(request.method, out)?;
        if !matches!(signer, Signer::Xiaomi) {
            write_host(request.host, out)?;
        }
        out.push(b'\n');
        let path = checked_path(request.path)?;
        out.extend(path);
        out.push(b'\n');

        let query = request.query.unwrap_or_default().as_bytes();
        let form = request.body.filter(|_| self.form).unwrap_or_default();
        let owned = credential.filter(|_| self.query_credentials);
        let own = credential.map(Credential::query).unwrap_or_default();
        match owned {
            // Most documented calls have no other pairs than the credential's.
            None if form.is_empty() && query == own => out.extend(query),
            None if form.is_empty()
                && query.len() <= MAX_PAIRS
                && write_clean(query, signer.token(), out) => {}
            Some(owned) if query.is_empty() && form.is_empty() => {
                out.extend(owned.query());
                *sent = Some(rewritten(path, &[], owned.query())?);
            }
            _ => *sent = self.write_pairs(out, owned, path, query, form)?,
        }
        out.push(b'\n');
        Ok(())
    }

    /// The line of the query when it is not at hand: gathers the pairs and puts them in order.
    #[inline(never)]
    fn write_pairs(
        &self,
        out: &mut Text,
        owned: Option<&Credential>,
        path: &[u8],
        query: &[u8],
        form: &[u8],
    ) -> Result<Option<PathAndQuery>, SignError> {
        let query_len = query.len() + owned.map_or(0, |owned| owned.query().len());
        if query_len > MAX_PAIRS {
            return Err(SignError::too_long("query", TOO_LONG));
        }
        if query_len + form.len() > MAX_PAIRS {
            return Err(SignError::too_long("form", TOO_LONG));
        }
        let mut pairs = Pairs::new();
        let mut sent = None;
        match owned {
            None => {
                self.gather("query", query, |pair| {
                    pairs.push(pair);
                    Ok(())
                })?;
                self.gather("form", form, |pair| {
                    pairs.push(pair);
                    Ok(())
                })?;
            }
            Some(owned) => {
                let (client_id, token) = (owned.client_id_pair(), owned.token_pair());
                let is_owned = |pair: &Pair<'_>| {
                    pair.same_name(&token)
                        || client_id.is_some_and(|client_id| pair.same_name(&client_id))
                };
                self.gather("query", query, |pair| {
                    if !is_owned(&pair) {
                        pairs.push(pair);
                    }
                    Ok(())
                })?;
                // Before the pairs are put in order: on the wire they keep the caller's.
                sent = Some(rewritten(path, pairs.as_slice(), owned.query())?);
                if let Some(client_id) = client_id {
                    pairs.push(client_id);
                }
                pairs.push(token);
                self.gather("form", form, |pair| {
                    if is_owned(&pair) {
                        return Err(SignError::conflict("form", IN_BOTH));
                    }
                    pairs.push(pair);
                    Ok(())
                })?;
            }
        }
        write_canonical(pairs.as_slice(), self.empty_values, out);
        Ok(sent)
    }

    #[inline]
    fn gather<'a>(
        &self,
        field: &'static str,
        text: &'a [u8],
        each: impl FnMut(Pair<'a>) -> Result<(), SignError>,
    ) -> Result<(), SignError> {
        each_pair(field, text, self.accept_malformed_query, each)
    }
}

/// Who signs.
#[derive(Clone, Copy)]
pub(crate) enum Signer<'a> {
    /// Who has this credential.
    Known(&'a Credential),
    /// A client with this access token in the query, if it has one there; empty if it is not known, or
    /// spelt otherwise there.
    Client { token: &'a [u8] },
    /// Xiaomi, a callback: the line of the host is empty.
    Xiaomi,
}

impl<'a> Signer<'a> {
    /// The access token as it is likely to be in the query.
    fn token(self) -> &'a [u8] {
        match self {
            Self::Known(credential) => credential.token_value(),
            Self::Client { token } => token,
            Self::Xiaomi => b"",
        }
    }
}
