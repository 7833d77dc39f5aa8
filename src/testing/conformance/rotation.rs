//! A record moves in the store as it does where it is only thought of.

use std::time::Duration;

use super::{HOUR, Subject, essence, grant};
use crate::store::transition::{self, Wanted};
use crate::store::{Applied, Issued, Lease, LeaseFrom, Loaded, Standing, Status, apply};

/// How many transitions are tried, one after another, each by either process.
const STEPS: u64 = 200;

pub(super) async fn a_record_moves_as_its_transitions_say(subject: Subject) {
    let mut thought = subject.first().await;
    let mut lease: Option<Lease> = None;
    for step in 0..STEPS {
        let process = if fastrand::bool() {
            subject.clone()
        } else {
            subject.swapped()
        };
        let choice = fastrand::u8(0..8);
        let pause = Duration::from_secs(fastrand::u64(0..2) * 60);
        let held = lease.clone().unwrap_or_else(|| Lease {
            id: thought.version,
            record: thought.clone(),
        });
        let from = [LeaseFrom::Active, LeaseFrom::InDoubt][fastrand::usize(0..2)];
        let transition = |loaded: &Loaded, version| {
            let Standing::Record(record) = &loaded.standing else {
                panic!("the record is gone: {loaded:?}")
            };
            match choice {
                0 | 1 => {
                    let wanted = Wanted {
                        of: record.version,
                        owner: "one",
                        length: HOUR * u32::from(choice),
                        from,
                    };
                    transition::acquire(record, version, wanted)
                }
                2 | 3 => transition::intend(record, version, &held, HOUR),
                4 => transition::release(record, version, &held, pause, "unsent"),
                5 => transition::doubt(record, version, Some(held.id), "lost"),
                6 => transition::reject(record, version, &held, "refused"),
                _ if step % 20 == 0 => Some(transition::revoke(loaded, version)),
                _ => {
                    let next = record.generation.next();
                    let issued = Issued::rotated(next, record.lineage, grant(step), Some(HOUR));
                    transition::commit(&loaded.standing, version, &issued)
                }
            }
        };
        let applied = apply(&process.one, &process.name, None, transition).await;
        match applied.unwrap() {
            Applied::Moved(record) => {
                // What the transition makes of what was thought, and not of what was read.
                let loaded = Loaded::record(thought, record.now);
                let draft = transition(&loaded, record.version);
                thought = draft.unwrap().at(record.now);
                lease = match record.status {
                    Status::Leased => Lease::of(record),
                    _ => lease,
                };
            }
            Applied::Stood(_) => {}
        }
        assert_eq!(essence(&subject.read().await), essence(&thought));
    }
}
