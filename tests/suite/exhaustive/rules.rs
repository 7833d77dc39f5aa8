//! The protocol, and what others use in its place: each is known to present a spent token, and the
//! checker must say so, or it would not see it in ours either.

use tower_mac_auth::store::Status;

use super::state::Flight;
use super::store::{Command, Row};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The crate's: the intent is durable before the first byte leaves.
    Intent,
    /// A lock that ends by itself; the store is read once more before presenting.
    LockAndReread,
    /// A lock that its holder renews, before presenting and as long as it waits.
    RenewedLock,
    /// A lock whose fence is checked when the answer is committed.
    FencedCommit,
    /// Ours, but presenting whether the intent was taken or not.
    IntentIgnored,
    /// Ours, but taking over an intent whose time is over, as if nothing had been sent.
    IntentExpires,
}

impl Rules {
    pub fn write_intent(self) -> bool {
        matches!(
            self,
            Self::Intent | Self::IntentIgnored | Self::IntentExpires
        )
    }

    pub fn ignore_refusal(self) -> bool {
        self == Self::IntentIgnored
    }

    pub fn takes_over(self, row: &Row) -> bool {
        self == Self::IntentExpires && row.status == Status::Sending && !row.in_time
    }

    /// What stands in for the intent.
    pub fn check(self, row: &mut Row, flight: Flight) -> bool {
        let Flight::Leased(held) = flight else {
            return false;
        };
        let ours = row.status == Status::Leased && row.lease == Some(held.id);
        match self {
            Self::LockAndReread if ours && row.in_time => true,
            Self::RenewedLock if ours => {
                row.in_time = true;
                true
            }
            Self::FencedCommit => true,
            _ => false,
        }
    }

    pub fn renew(self, flight: Flight) -> bool {
        self == Self::RenewedLock && matches!(flight, Flight::Cleared(_) | Flight::Sent(_))
    }

    pub fn do_renew(row: &mut Row, flight: Flight) {
        if let Flight::Cleared(held) | Flight::Sent(held) = flight {
            row.in_time |= row.status == Status::Leased && row.lease == Some(held.id);
        }
    }

    pub fn may_commit(self, row: &Row, flight: Flight) -> bool {
        match flight {
            Flight::Issued(held, _) if self == Self::FencedCommit => row.lease == Some(held.id),
            _ => true,
        }
    }

    pub fn take_over(self, row: &mut Row, command: Command) {
        let acquires = matches!(command, Command::Acquire { .. });
        if acquires && self.takes_over(row) {
            row.status = Status::Leased;
        }
    }
}
