//! Waiting: every wait has a deadline, and asks again at intervals that grow from 100 ms to 1 s, or when it is told to.

use std::time::Duration;

use tokio::time::Instant;

/// What one look found.
#[derive(Debug)]
pub enum Poll<T> {
    Ready(T),
    /// Not yet, for this reason.
    Pending(String),
    /// Not before so long has passed, for this reason.
    After(Duration, String),
}

#[derive(Debug, thiserror::Error)]
pub enum WaitError<E> {
    /// The deadline passed; the last reason.
    #[error("{0}")]
    Deadline(String),
    #[error("{0}")]
    Failed(E),
}

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(1);

/// Looks until it is ready, it fails or `limit` is over.
///
/// A look that outlasts the deadline is given up.
pub async fn poll<T, E>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Poll<T>, E>,
) -> Result<T, WaitError<E>> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST;
    let mut last = String::from("no answer");
    loop {
        let again = match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(Poll::Ready(value))) => return Ok(value),
            Ok(Ok(Poll::Pending(reason))) => {
                last = reason;
                let again = pause;
                pause = (pause * 3 / 2).min(LAST);
                again
            }
            Ok(Ok(Poll::After(again, reason))) => {
                last = reason;
                again
            }
            Ok(Err(error)) => return Err(WaitError::Failed(error)),
            Err(_) => return Err(WaitError::Deadline(last)),
        };
        if Instant::now() + again >= deadline {
            return Err(WaitError::Deadline(last));
        }
        #[expect(clippy::disallowed_methods, reason = "this is where waiting is done")]
        tokio::time::sleep(again).await;
    }
}

/// Looks at every interval until there is something to tell. Whoever calls it bounds it.
pub(super) async fn again<T>(interval: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        #[expect(clippy::disallowed_methods, reason = "this is where waiting is done")]
        tokio::time::sleep(interval).await;
        if let Some(found) = look().await {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_ready_and_keeps_the_last_reason_when_not() {
        let mut looks = 0;
        let ready = poll::<_, ()>(Duration::from_secs(60), async || {
            looks += 1;
            Ok(if looks == 5 { Poll::Ready(looks) } else { Poll::Pending("soon".into()) })
        });
        assert_eq!(ready.await.unwrap(), 5);

        let started = Instant::now();
        let never =
            poll::<(), ()>(Duration::from_secs(60), async || Ok(Poll::Pending("not yet".into())));
        assert!(matches!(never.await, Err(WaitError::Deadline(reason)) if reason == "not yet"));
        assert!(started.elapsed() <= Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_knows_when_to_look_again_is_taken_at_its_word() {
        let (mut looks, rest, started) = (0, Duration::from_millis(237), Instant::now());
        let ready = poll::<_, ()>(Duration::from_secs(60), async || {
            looks += 1;
            Ok(if looks == 3 { Poll::Ready(()) } else { Poll::After(rest, "soon".into()) })
        });
        ready.await.unwrap();
        assert_eq!(started.elapsed(), 2 * rest);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_given_up_at_the_deadline() {
        let hangs = poll::<(), ()>(Duration::from_secs(2), async || std::future::pending().await);
        assert!(matches!(hangs.await, Err(WaitError::Deadline(_))));
    }
}
