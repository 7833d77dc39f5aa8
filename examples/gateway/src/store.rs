//! The store that a flag names.
