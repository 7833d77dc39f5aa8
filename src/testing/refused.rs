use crate::provider::xiaomi::ErrorCode;

/// Why the token endpoint says no: a code and what exactly is wrong.
pub(super) type Refused = (ErrorCode, &'static str);
