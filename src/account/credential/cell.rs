//! The cell of an account: the snapshot that signers read without a lock, and the slot in which
//! one flight at most is elected.
//!
//! The invariants, checked with loom at the end of the file:
//! - the snapshot's generation never falls;
//! - for one generation one caller leads, whoever else noticed joins;
//! - whoever joined is woken by the landing;
//! - a refusal of an old generation starts nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::join::Join;
use super::looks::Looks;
use super::primitives::{AtomicU64, Loaded, Mutex, MutexGuard, Swap};
use super::{Access, RotationState, Snapshot};
use crate::Timestamp;
use crate::account::policy;
use crate::store::{Generation, Version};

/// `C` is what signs, `W` how a caller that waits for the flight is told.
pub(in crate::account) struct Cell<C, W> {
    snapshot: Swap<Snapshot<C>>,
    /// The highest generation the API refused.
    rejected: AtomicU64,
    /// Before this moment (in milliseconds) a signer need not look at anything but the snapshot.
    /// Written under the slot's lock, after the snapshot it belongs to; a signer that reads it
    /// late signs with a token the API will refuse, and learns then.
    attention_at: AtomicU64,
    slot: Mutex<Slot<W>>,
}

struct Slot<W> {
    rotation: RotationState,
    /// Those who wait for the flight, while there is one.
    flight: Option<Vec<W>>,
    /// A refresh ahead of time found no room at the endpoint, and tries again then.
    ahead_at: Timestamp,
    looks: Looks,
    closed: bool,
}

impl<C, W> Cell<C, W> {
    pub(in crate::account) fn new(snapshot: Snapshot<C>) -> Self {
        let attention_at = AtomicU64::new(snapshot.refresh_at.as_millis());
        Self {
            snapshot: Swap::new(Arc::new(snapshot)),
            rejected: AtomicU64::new(0),
            attention_at,
            slot: Mutex::new(Slot {
                rotation: RotationState::Idle,
                flight: None,
                ahead_at: Timestamp::EPOCH,
                looks: Looks::new(),
                closed: false,
            }),
        }
    }

    #[inline]
    pub(in crate::account) fn load(&self) -> Loaded<Snapshot<C>> {
        self.snapshot.load()
    }

    /// Whether a signer at `now` must first ask whether it may sign, and whether to rotate. If not, a
    /// snapshot that is loaded after this call is the one that the answer is about, or a later one.
    #[inline]
    pub(in crate::account) fn needs_attention(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.attention_at.load(Ordering::Acquire)
    }

    pub(in crate::account) fn rejected(&self) -> Generation {
        Generation::from_number(self.rejected.load(Ordering::Acquire))
    }

    pub(in crate::account) fn access(&self, now: Timestamp) -> Access {
        self.load().access(self.rejected(), now)
    }

    /// Swaps in a snapshot of a higher generation. A lower one is dropped: it lost a race.
    pub(in crate::account) fn publish(&self, snapshot: Snapshot<C>) -> bool {
        self.publish_with(snapshot, RotationState::Idle)
    }

    /// The same, for a snapshot that is known not to rotate as it should.
    pub(in crate::account) fn publish_with(
        &self,
        snapshot: Snapshot<C>,
        rotation: RotationState,
    ) -> bool {
        self.swap(snapshot, rotation, |_, _| false)
    }

    /// Swaps in what the store has, also at the generation that stands here: that may have been
    /// published before the store took it, and the store have taken another grant meanwhile.
    pub(in crate::account) fn adopt(&self, snapshot: Snapshot<C>, rotation: RotationState) -> bool {
        self.swap(snapshot, rotation, |stored, here| {
            stored.generation == here.generation && stored.grant != here.grant
        })
    }

    fn swap(
        &self,
        snapshot: Snapshot<C>,
        rotation: RotationState,
        or: impl FnOnce(&Snapshot<C>, &Snapshot<C>) -> bool,
    ) -> bool {
        let mut slot = self.lock();
        let current = self.load();
        let counts = snapshot.generation > current.generation || or(&snapshot, &current);
        drop(current);
        if counts {
            self.snapshot.store(Arc::new(snapshot));
            slot.rotation = rotation;
            slot.ahead_at = Timestamp::EPOCH;
            self.settle(&slot);
        }
        counts
    }

    /// The API refused `generation`.
    pub(in crate::account) fn reject(&self, generation: Generation) {
        let slot = self.lock();
        self.rejected
            .fetch_max(generation.number(), Ordering::AcqRel);
        self.settle(&slot);
    }

    /// Asks for a credential newer than `generation`. The waiter is dropped unless it joined.
    pub(in crate::account) fn join(
        &self,
        generation: Generation,
        now: Timestamp,
        waiter: W,
    ) -> Join {
        let mut slot = self.lock();
        let current = self.load();
        if current.generation > generation {
            return Join::Newer(current.generation);
        }
        if let Some(waiters) = &mut slot.flight {
            waiters.push(waiter);
            return Join::Joined;
        }
        match self.take_off(&mut slot, &current, now) {
            Join::Lead => {
                slot.flight = Some(vec![waiter]);
                self.settle(&slot);
                Join::Lead
            }
            grounded => grounded,
        }
    }

    /// A signer noticed that the token ages: whether it must start a flight. The signer never waits,
    /// not even for the lock: whoever holds the lock sees to the same thing. The flight does not wait
    /// either: if the endpoint has no `room` for it now, another signer asks again later.
    pub(in crate::account) fn look_ahead(
        &self,
        now: Timestamp,
        room: impl FnOnce() -> bool,
    ) -> bool {
        let Ok(mut slot) = self.slot.try_lock() else {
            return false;
        };
        let current = self.load();
        let may =
            slot.flight.is_none() && matches!(self.take_off(&mut slot, &current, now), Join::Lead);
        let leads = may && room();
        if leads {
            slot.flight = Some(Vec::new());
        } else if may {
            let rest = current.expires_at.saturating_since(now);
            slot.ahead_at = now.saturating_add(policy::no_room(rest));
        }
        self.settle(&slot);
        leads
    }

    /// Whether a flight may start now.
    fn take_off(&self, slot: &mut Slot<W>, current: &Snapshot<C>, now: Timestamp) -> Join {
        if slot.closed {
            return Join::Closed;
        }
        let access = current.access(self.rejected(), now);
        // A signer that is dead has nobody look at the store but a flight.
        let heard =
            access == Access::Dead && slot.looks.has_heard() && slot.rotation.needs_others();
        if !heard && !slot.rotation.may_fly(access, now) {
            return Join::Grounded(slot.rotation.clone());
        }
        Join::Lead
    }

    /// Ends the flight: puts down what the next flight finds, and returns the waiters that are to be
    /// told. What a flight says of a generation that was replaced meanwhile does not count for the new
    /// generation.
    pub(in crate::account) fn land(
        &self,
        generation: Generation,
        rotation: RotationState,
    ) -> Vec<W> {
        let mut slot = self.lock();
        if self.load().generation == generation {
            slot.rotation = rotation;
        }
        let waiters = slot.flight.take().unwrap_or_default();
        self.settle(&slot);
        waiters
    }

    /// The store is about to be looked at.
    pub(in crate::account) fn begin_look(&self) {
        self.lock().looks.begin();
    }

    /// Takes note that this write stands in the store, and that it need not be looked at before
    /// `look_at`, unless another was heard of since the look began that saw this one.
    pub(in crate::account) fn note_seen(&self, version: Version, look_at: Timestamp) {
        let mut slot = self.lock();
        if slot.looks.note_seen(version, look_at) {
            self.settle(&slot);
        }
    }

    /// Another process may have written: the next signer has the store looked at.
    pub(in crate::account) fn hear(&self, version: Option<Version>) {
        let mut slot = self.lock();
        if slot.looks.hear(version) {
            self.settle(&slot);
        }
    }

    /// Whether another process has written since the store was looked at.
    pub(in crate::account) fn has_heard(&self) -> bool {
        self.lock().looks.has_heard()
    }

    /// Whether a signer at `now` is to have the store looked at, and has `room` for that: if not,
    /// another asks again `soon`. The next look is due after `every`. A flight that is under way
    /// looks itself. It never waits for the lock.
    pub(in crate::account) fn takes_look<R>(
        &self,
        now: Timestamp,
        (every, soon): (Duration, Duration),
        room: impl FnOnce() -> Option<R>,
    ) -> Option<R> {
        let mut slot = self.slot.try_lock().ok()?;
        if now < slot.looks.due_at || slot.flight.is_some() || slot.closed {
            return None;
        }
        let room = room();
        let pause = if room.is_some() { every } else { soon };
        slot.looks.due_at = now.saturating_add(pause);
        self.settle(&slot);
        room
    }

    /// The state of the rotation, and whether a flight is under way.
    pub(in crate::account) fn rotation(&self) -> (RotationState, bool) {
        let slot = self.lock();
        (slot.rotation.clone(), slot.flight.is_some())
    }

    /// No flight starts from here on.
    pub(in crate::account) fn close(&self) {
        let mut slot = self.lock();
        slot.closed = true;
        self.settle(&slot);
    }

    /// Sets when signers must look again. While the token lives that is seldom: not every signer looks
    /// whether a flight is under way or may not start yet.
    fn settle(&self, slot: &Slot<W>) {
        let current = self.load();
        let at = if self.rejected() >= current.generation {
            Timestamp::EPOCH
        } else if slot.flight.is_some() || slot.closed {
            current.expires_at
        } else {
            current
                .refresh_at
                .max(slot.rotation.look_again_at())
                .max(slot.ahead_at)
                .min(current.expires_at)
                .min(slot.looks.due_at)
        };
        self.attention_at.store(at.as_millis(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Slot<W>> {
        // Each critical section leaves the slot whole, so a panic in one is no reason to stop.
        match self.slot.lock() {
            Ok(slot) => slot,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(tower_mac_auth_loom))]
    use std::sync::atomic::AtomicUsize;
    #[cfg(not(tower_mac_auth_loom))]
    use std::thread;

    #[cfg(tower_mac_auth_loom)]
    use loom::{sync::atomic::AtomicUsize, thread};

    use super::*;
    use crate::provider::TokenSet;
    use crate::store::Issued;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const FIRST: Generation = Generation::FIRST;
    const SECOND: Generation = Generation::FIRST.next();

    /// A waiter that counts how often it is told.
    type Told = Arc<AtomicUsize>;

    fn snapshot(generation: Generation) -> Snapshot<()> {
        let life = Duration::from_secs(1_000);
        let tokens = TokenSet::new("AT");
        let issued = Issued::rotated(generation, FIRST, tokens, Some(life));
        Snapshot::new(issued, Some(()), NOW, Duration::ZERO)
    }

    /// Explores every interleaving under loom; runs once, as a plain test, without.
    fn explore(body: impl Fn() + Send + Sync + 'static) {
        #[cfg(tower_mac_auth_loom)]
        loom::model(body);
        #[cfg(not(tower_mac_auth_loom))]
        body();
    }

    /// What a refused request does.
    fn refused(cell: &Cell<(), Told>, generation: Generation, told: &Told) -> Join {
        cell.reject(generation);
        cell.join(generation, NOW, Arc::clone(told))
    }

    fn land(cell: &Cell<(), Told>) {
        cell.publish(snapshot(SECOND));
        for waiter in cell.land(FIRST, RotationState::Idle) {
            waiter.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn of_two_refusals_one_leads_and_each_who_waits_is_told_once() {
        explore(|| {
            let cell = Arc::new(Cell::new(snapshot(FIRST)));
            let told: [Told; 2] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
            let threads = told.clone().map(|told| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let join = refused(&cell, FIRST, &told);
                    let lead = matches!(join, Join::Lead);
                    if lead {
                        land(&cell);
                    }
                    (lead, matches!(join, Join::Newer(_)))
                })
            });
            let ends = threads.map(|thread| thread.join().unwrap());
            assert_eq!(ends.iter().filter(|(lead, _)| *lead).count(), 1);
            for (told, (_, newer)) in told.iter().zip(ends) {
                assert_eq!(told.load(Ordering::SeqCst), usize::from(!newer));
            }
        });
    }

    #[test]
    fn a_refusal_of_an_old_generation_starts_nothing() {
        explore(|| {
            let cell = Arc::new(Cell::new(snapshot(FIRST)));
            let told = Arc::new(AtomicUsize::new(0));
            assert!(matches!(refused(&cell, FIRST, &told), Join::Lead));
            let landing = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || land(&cell))
            };
            // Joins the flight or finds the new generation; never leads another.
            let late = refused(&cell, FIRST, &told);
            assert!(
                matches!(late, Join::Joined | Join::Newer(SECOND)),
                "{late:?}"
            );
            landing.join().unwrap();
            assert!(matches!(refused(&cell, FIRST, &told), Join::Newer(SECOND)));
        });
    }

    #[test]
    fn a_signer_that_may_sign_at_once_sees_the_snapshot_this_was_said_of() {
        explore(|| {
            let cell: Arc<Cell<(), Told>> = Arc::new(Cell::new(snapshot(FIRST)));
            cell.reject(FIRST);
            let landing = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || land(&cell))
            };
            if !cell.needs_attention(NOW) {
                assert_eq!(cell.load().generation, SECOND);
            }
            landing.join().unwrap();
            assert!(!cell.needs_attention(NOW));
        });
    }

    #[test]
    fn of_two_publications_the_higher_generation_stays() {
        explore(|| {
            let cell: Arc<Cell<(), Told>> = Arc::new(Cell::new(snapshot(FIRST)));
            let late = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.publish(snapshot(SECOND)))
            };
            cell.publish(snapshot(SECOND.next()));
            late.join().unwrap();
            assert_eq!(cell.load().generation, SECOND.next());
        });
    }

    #[test]
    fn a_signer_never_waits_for_the_slot() {
        explore(|| {
            let cell: Arc<Cell<(), Told>> = Arc::new(Cell::new(snapshot(FIRST)));
            let aging = NOW.saturating_add(Duration::from_secs(999));
            let signer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.look_ahead(aging, || true))
            };
            let mine = cell.look_ahead(aging, || true);
            let other = signer.join().unwrap();
            assert!(!(mine && other), "two flights");
            if mine || other {
                assert!(!cell.look_ahead(aging, || true), "the flight is under way");
            }
        });
    }

    #[test]
    fn a_refresh_ahead_that_finds_no_room_is_asked_for_again_later_and_not_by_each_signer() {
        explore(|| {
            let cell: Cell<(), Told> = Cell::new(snapshot(FIRST));
            let aging = NOW.saturating_add(Duration::from_secs(930));
            assert!(cell.needs_attention(aging));
            assert!(!cell.look_ahead(aging, || false));
            assert!(!cell.needs_attention(aging), "the next signer asks again");
            // At most a quarter of what is left, which is 70 s.
            let later = aging.saturating_add(Duration::from_secs(18));
            assert!(cell.needs_attention(later));
            assert!(cell.look_ahead(later, || true));
            assert!(!cell.look_ahead(later, || panic!("one is under way")));
        });
    }

    #[test]
    fn what_a_flight_says_of_an_old_generation_is_not_held_against_the_new() {
        explore(|| {
            let cell: Cell<(), Told> = Cell::new(snapshot(FIRST));
            let told = Arc::new(AtomicUsize::new(0));
            assert!(matches!(refused(&cell, FIRST, &told), Join::Lead));
            cell.publish(snapshot(SECOND));
            let recheck = crate::account::credential::Pause::new(NOW, Duration::from_secs(9));
            cell.land(
                FIRST,
                RotationState::Revoked {
                    recheck,
                    why: "96009".into(),
                },
            );
            assert!(matches!(cell.rotation(), (RotationState::Idle, false)));
        });
    }

    #[test]
    fn nothing_flies_once_closed() {
        explore(|| {
            let cell: Cell<(), Told> = Cell::new(snapshot(FIRST));
            cell.close();
            let told = Arc::new(AtomicUsize::new(0));
            assert!(matches!(refused(&cell, FIRST, &told), Join::Closed));
        });
    }
}
