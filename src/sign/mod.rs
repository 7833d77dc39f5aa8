//! Signing, pure: no I/O, no clock, no async.

mod algorithm;

pub use algorithm::{Algorithm, UnknownAlgorithm};
