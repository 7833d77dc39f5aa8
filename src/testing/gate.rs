//! A listener that can be closed, and opened again on the same port.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;

/// How many connections wait to be accepted at most: a storm comes all at once.
const BACKLOG: u32 = 4096;

pub(super) struct Gate {
    addr: SocketAddr,
    runtime: Handle,
    door: Mutex<Door>,
}

struct Door {
    state: DoorState,
    /// Who waits for connections. A listener that is dropped wakes nobody.
    waiting: Option<Waker>,
}

enum DoorState {
    Open(TcpListener),
    /// With the port, held by a socket that is bound and does not listen, so that nobody takes
    /// it: connections to it are refused. `None` if somebody was quicker.
    Closed(Option<TcpSocket>),
}

impl Gate {
    pub(super) fn open_any() -> io::Result<Self> {
        let listener = bound(SocketAddr::from(([127, 0, 0, 1], 0)))?.listen(BACKLOG)?;
        Ok(Self {
            addr: listener.local_addr()?,
            runtime: Handle::current(),
            door: Mutex::new(Door {
                state: DoorState::Open(listener),
                waiting: None,
            }),
        })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.door().state, DoorState::Open(_))
    }

    /// Closes or opens it, at once.
    ///
    /// It stays closed if the port is taken.
    pub(super) fn set(&self, closed: bool) {
        let mut door = self.door();
        match &mut door.state {
            DoorState::Open(_) if closed => {
                // The listener first: nobody else can bind to its port.
                door.state = DoorState::Closed(None);
                door.state = DoorState::Closed(bound(self.addr).ok());
            }
            DoorState::Closed(held) if !closed => {
                let _runtime = self.runtime.enter();
                let socket = held.take().map_or_else(|| bound(self.addr), Ok);
                match socket.and_then(|socket| socket.listen(BACKLOG)) {
                    Ok(listener) => door.state = DoorState::Open(listener),
                    Err(error) => tracing::warn!(addr = %self.addr, %error, "cannot listen again"),
                }
                if let Some(waiting) = door.waiting.take() {
                    waiting.wake();
                }
            }
            DoorState::Open(_) | DoorState::Closed(_) => {}
        }
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut door = self.door();
        door.waiting = Some(cx.waker().clone());
        match &door.state {
            DoorState::Open(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| stream),
            DoorState::Closed(_) => Poll::Pending,
        }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that are open, or were just closed, do not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
