//! An answer that is on its way, for callers with and without a runtime.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use futures_channel::oneshot;

/// What a call to the store will have come to.
#[derive(Debug)]
pub(crate) struct Pending<T>(oneshot::Receiver<T>);

impl<T> Pending<T> {
    pub(crate) fn new() -> (oneshot::Sender<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Blocks this thread until the answer is there; `None` = the store has ended without one.
    pub(crate) fn wait(self) -> Option<T> {
        let mut this = pin!(self);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match this.as_mut().poll(&mut context) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl<T> Future for Pending<T> {
    /// `None` = the store has ended without an answer.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

/// What a call says if the store ends without an answer.
pub trait Ended {
    /// The error.
    fn ended() -> Self;
}

/// A call that is under way: await it, or [`wait`](Self::wait) for it. It is carried out in any
/// case.
#[must_use = "without the answer nobody knows whether it is durable"]
#[derive(Debug)]
pub struct Call<T, E>(Pending<Result<T, E>>);

impl<T, E: Ended> Call<T, E> {
    pub(crate) fn new() -> (oneshot::Sender<Result<T, E>>, Self) {
        let (sender, pending) = Pending::new();
        (sender, Self(pending))
    }

    pub(crate) fn ready(result: Result<T, E>) -> Self {
        let (sender, call) = Self::new();
        // The other end is right here.
        let _ = sender.send(result);
        call
    }

    /// Blocks this thread until the answer is there. Not for threads of an async runtime, nor for
    /// the store's own.
    ///
    /// # Errors
    /// As the call says.
    pub fn wait(self) -> Result<T, E> {
        self.0.wait().unwrap_or_else(|| Err(E::ended()))
    }
}

impl<T, E: Ended> Future for Call<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|| Err(E::ended())))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
