//! Makes one state of those that differ only in names, and in what can no longer matter.

use super::state::{Flight, Process, State, Task, Write};
use super::store::{Age, Command, Held};

impl State {
    /// Drops what can no longer matter, and numbers and sorts what is left, so that states that
    /// differ only in names are one.
    pub fn normalise(&mut self) {
        let row = self.row;
        let acquires = |write: &Write| matches!(write.command, Command::Acquire { .. });
        let mut leases: Vec<u8> = self
            .limbo
            .iter()
            .filter(|it| acquires(it))
            .map(|it| it.version)
            .collect();
        leases.extend(row.lease);
        leases.extend(self.older.and_then(|older| older.lease));
        for process in &mut self.processes {
            process.tasks.retain(|task| match task {
                Task::GiveBack(held) => leases.contains(&held.id),
                Task::Rotated(grants) => grants.generation > row.generation,
                Task::Authorized { .. } => true,
            });
            process.tasks.sort_unstable();
            process.memory = process.memory.filter(|it| it.0 >= row.generation);
        }
        let (processes, newest) = (&self.processes, &self.newest);
        self.requests.retain(|request| {
            let awaited = |process: &Process| process.awaits(request);
            newest.contains(&request.token) || processes.iter().any(awaited)
        });
        self.forget_versions();
        self.rank_versions();
        self.limbo.sort_unstable();
        self.requests.sort_unstable();
        self.processes.sort_unstable();
    }

    /// A version that nobody looks for is 0.
    fn forget_versions(&mut self) {
        let mut may_stand: Vec<u8> = self.limbo.iter().map(|write| write.version).collect();
        may_stand.push(self.row.version);
        let mut wanted = Vec::new();
        for process in &mut self.processes {
            if let Some(unsure) = &mut process.unsure {
                if !may_stand.contains(&unsure.version) {
                    unsure.version = 0;
                }
                wanted.push(unsure.version);
                wanted.extend(unsure.lease.map(|lease| lease.id));
            }
            if let Flight::Acquiring { of, .. } = &mut process.flight {
                if *of != self.row.version {
                    *of = 0;
                }
                wanted.push(*of);
            }
            for task in &process.tasks {
                if let Task::GiveBack(held) = task {
                    wanted.push(held.id);
                }
            }
        }
        wanted.extend(self.limbo.iter().filter_map(|write| match write.command {
            Command::Acquire { of, .. } => Some(of),
            _ => None,
        }));
        let forget = |version: &mut u8| {
            if !wanted.contains(version) {
                *version = 0;
            }
        };
        forget(&mut self.row.version);
        self.limbo
            .iter_mut()
            .for_each(|write| forget(&mut write.version));
        if let Some(older) = &mut self.older {
            older.version = 0;
        }
    }

    /// Versions are only compared, so their ranks will do.
    fn rank_versions(&mut self) {
        let mut versions = vec![0];
        self.each_version(&mut |version| versions.push(*version));
        versions.sort_unstable();
        versions.dedup();
        self.each_version(&mut |version| {
            let rank = versions.binary_search(version).unwrap();
            *version = u8::try_from(rank).unwrap();
        });
    }

    /// A version that no other write has.
    pub fn draw(&mut self) -> u8 {
        let mut highest = 0;
        self.each_version(&mut |version| highest = highest.max(*version));
        highest + 1
    }

    fn each_version(&mut self, each: &mut impl FnMut(&mut u8)) {
        for row in std::iter::once(&mut self.row).chain(&mut self.older) {
            each(&mut row.version);
            row.lease.iter_mut().for_each(&mut *each);
        }
        for write in &mut self.limbo {
            each(&mut write.version);
            if let Command::Doubt { lease: version } | Command::Acquire { of: version, .. } =
                &mut write.command
            {
                each(version);
            }
        }
        for process in &mut self.processes {
            if let Some(unsure) = &mut process.unsure {
                each(&mut unsure.version);
            }
            if let Flight::Doubting { lease: version } | Flight::Acquiring { of: version, .. } =
                &mut process.flight
            {
                each(version);
            }
        }
        for request in &mut self.requests {
            each(&mut request.lease);
        }
        self.each_lease(&mut |held| each(&mut held.id));
    }

    fn each_lease(&mut self, each: &mut impl FnMut(&mut Held)) {
        for write in &mut self.limbo {
            if let Command::Intend(held) | Command::Release(held) | Command::Reject(held) =
                &mut write.command
            {
                each(held);
            }
        }
        for process in &mut self.processes {
            match &mut process.flight {
                Flight::Leased(held)
                | Flight::Reminding(held)
                | Flight::Cleared(held)
                | Flight::Withdrawing(held)
                | Flight::Sent(held)
                | Flight::Issued(held, _)
                | Flight::Refused(held) => each(held),
                Flight::Idle | Flight::Acquiring { .. } | Flight::Doubting { .. } => {}
            }
            let unsure = process.unsure.iter_mut();
            unsure
                .filter_map(|it| it.lease.as_mut())
                .for_each(&mut *each);
            for task in &mut process.tasks {
                if let Task::GiveBack(held) = task {
                    each(held);
                }
            }
        }
    }

    /// Whatever was about to be presented, that was [`PRESENT_AGAIN_AFTER`] ago by now.
    ///
    /// [`PRESENT_AGAIN_AFTER`]: tower_mac_auth::testing::rotation::PRESENT_AGAIN_AFTER
    pub fn age(&mut self) {
        let age = |intended: &mut Option<Age>| *intended = intended.map(|_| Age::Old);
        age(&mut self.row.intended);
        if let Some(older) = &mut self.older {
            age(&mut older.intended);
        }
        self.each_lease(&mut |held| age(&mut held.intended));
    }
}
