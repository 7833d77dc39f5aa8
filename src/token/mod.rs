//! The token endpoint: request, answer, error codes, transport.

mod token_set;

pub use token_set::TokenSet;
