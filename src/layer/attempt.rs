use http::Extensions;

use crate::store::Generation;

/// Which attempt a request is, and which one a response answers: in the extensions of both.
///
/// A layer below so knows a request that was sent before. OpenTelemetry, for one, wants the span of
/// each attempt to have `http.request.resend_count`, which is [one less](Self::number).
///
/// ```
/// use tower_mac_auth::layer::Attempt;
///
/// fn log<B>(response: &http::Response<B>) {
///     if response.extensions().get() == Some(&Attempt::RESEND) {
///         println!("signed anew and sent again");
///     }
/// }
/// # log(&http::Response::new(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt(u8);

impl Attempt {
    /// The request as it was sent first.
    pub const FIRST: Self = Self(1);
    /// The same request signed anew and sent again. There is never another.
    pub const RESEND: Self = Self(2);

    /// 1 or 2.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Says so in the extensions of a request or a response, and who signed.
    #[cold]
    pub(super) fn report(self, generation: Generation, extensions: &mut Extensions) {
        extensions.insert(generation);
        extensions.insert(self);
    }
}
