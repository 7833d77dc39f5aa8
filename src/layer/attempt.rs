/// Which attempt a response answers; in its extensions.
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
}
