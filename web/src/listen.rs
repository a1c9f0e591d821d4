//! A listener that neither takes more connections than it can serve nor waits for ever for a client that says nothing or
//! reads nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; others wait to be accepted.
const CONNECTIONS: usize = 512;
/// A connection on which nothing was answered for so long is closed: a request that trickles in, none at all, or an answer
/// that is not read. Event streams say something every 15 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hands on the connections of a listener, not too many at once.
pub(crate) struct Patient<L> {
    listener: L,
    patience: Duration,
    free: Arc<Semaphore>,
}

impl<L> Patient<L> {
    pub(crate) fn new(listener: L) -> Self {
        Self { listener, patience: PATIENCE, free: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// With less patience and room than people need, so that a test sees the end of both.
    #[cfg(test)]
    pub(crate) fn hasty(listener: L, patience: Duration, connections: usize) -> Self {
        Self { listener, patience, free: Arc::new(Semaphore::new(connections)) }
    }
}

impl<L: Listener> Listener for Patient<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Connection<L::Io>, L::Addr) {
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("it is never closed");
        let (stream, address) = self.listener.accept().await;
        let answered = Box::pin(sleep(self.patience));
        (Connection { stream, patience: self.patience, answered, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends by itself some time after the last answer on it.
pub(crate) struct Connection<S> {
    stream: S,
    patience: Duration,
    answered: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    /// What was to be done, unless it would wait and there was no answer for too long.
    fn in_time<T>(&mut self, done: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_pending() && self.answered.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.answered.is_elapsed() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.in_time(read, context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            let until = Instant::now() + self.patience;
            self.answered.as_mut().reset(until);
        }
        self.in_time(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
