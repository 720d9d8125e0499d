//! Readiness of thousands of sockets, and reading them without copying.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::{RecvFlags, recv};

/// Most events taken at once.
const BATCH: usize = 256;

/// An epoll set.
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// A socket with something to read, or room to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    /// Whether the peer has sent its last byte.
    pub(crate) is_ending: bool,
}

/// What a socket is watched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interest {
    /// Input and hang-up.
    Read,
    /// Also room for output.
    ReadWrite,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Read => epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            Self::ReadWrite => Self::Read.flags() | epoll::EventFlags::OUT,
        }
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    pub(crate) fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, fd, data, interest.flags())?)
    }

    pub(crate) fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        Ok(epoll::modify(&self.epoll, fd, data, interest.flags())?)
    }

    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Appends the ready sockets to `ready`, waiting at most so long for the first.
    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut events = Vec::with_capacity(BATCH);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(events.iter().map(|event| Ready {
            token: event.data.u64(),
            // Copied out, since the kernel's layout of events is packed.
            is_ending: { event.flags }.intersects(epoll::EventFlags::RDHUP),
        }));
        Ok(())
    }
}

/// What a read gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// None for the time being.
    Nothing,
    /// The peer has closed.
    End,
    /// The peer has reset.
    Reset,
}

/// Takes what the socket holds, up to `room.len()` bytes, and throws it away: the kernel copies
/// nothing, and `room` is not written to.
pub(crate) fn discard(fd: impl AsFd, room: &mut [u8]) -> Got {
    outcome(recv(fd, room, RecvFlags::DONTWAIT | RecvFlags::TRUNC).map(|(_, len)| len))
}

/// Reads into `room`.
pub(crate) fn read(fd: impl AsFd, room: &mut [u8]) -> Got {
    outcome(recv(fd, room, RecvFlags::DONTWAIT).map(|(_, len)| len))
}

fn outcome(result: Result<usize, rustix::io::Errno>) -> Got {
    match result {
        Ok(0) => Got::End,
        Ok(len) => Got::Bytes(len),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Got::Nothing,
        Err(_) => Got::Reset,
    }
}
