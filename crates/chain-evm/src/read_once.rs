//! What two endpoints answer in the same words is read once.
//!
//! Never takes one answer for another: bodies are compared byte by byte, and what a body says depends on nothing but
//! its bytes and on what was asked.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use inspay_ports::ChainErrorKind;
use tokio::sync::OnceCell;

use crate::rpc::Answer;

/// Bodies that are kept until their like comes: a few megabytes each, and about as many as are under way at once.
const KEPT_MAX: usize = 4;

/// What a body says.
pub(crate) type Answers<T> = Result<Arc<[Answer<T>]>, ChainErrorKind>;

/// A body and, once somebody has read it, what it says.
struct Kept<T> {
    methods: Vec<&'static str>,
    body: Arc<[u8]>,
    answers: OnceCell<Answers<T>>,
}

/// Bodies that were read a moment ago, or are being read.
pub(crate) struct ReadOnce<T> {
    kept: Mutex<VecDeque<Arc<Kept<T>>>>,
}

impl<T> Default for ReadOnce<T> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<T> fmt::Debug for ReadOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnce").field("kept", &self.kept().len()).finish()
    }
}

impl<T> ReadOnce<T> {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Kept<T>>>> {
        // A poisoned lock guards whole bodies: each is put in and taken out by one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `body` says, by `read`, or by whoever has read or is reading its like. The second to come takes it away.
    pub(crate) async fn read<F, Fut>(
        &self,
        methods: Vec<&'static str>,
        body: Vec<u8>,
        read: F,
    ) -> Answers<T>
    where
        F: FnOnce(Arc<[u8]>) -> Fut,
        Fut: Future<Output = Answers<T>>,
    {
        let shared = {
            let mut kept = self.kept();
            let is_like = |other: &Arc<Kept<T>>| other.methods == methods && *other.body == *body;
            match kept.iter().position(is_like).and_then(|place| kept.remove(place)) {
                Some(like) => like,
                None => {
                    let own = Kept { methods, body: body.into(), answers: OnceCell::new() };
                    let own = Arc::new(own);
                    kept.push_back(Arc::clone(&own));
                    while KEPT_MAX < kept.len() {
                        kept.pop_front();
                    }
                    own
                }
            }
        };
        shared.answers.get_or_init(|| read(Arc::clone(&shared.body))).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const METHODS: [&str; 1] = ["eth_getLogs"];

    struct Desk {
        once: ReadOnce<usize>,
        reads: AtomicUsize,
    }

    impl Desk {
        fn new() -> Self {
            Self { once: ReadOnce::default(), reads: AtomicUsize::new(0) }
        }

        /// What was said, and how often anybody has read by then.
        async fn read(&self, method: &'static str, body: &[u8]) -> (usize, usize) {
            let answers = self.once.read(vec![method], body.to_vec(), async |body| {
                self.reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(Arc::from([Ok(Some(body.len()))]))
            });
            let told = answers.await.expect("reads");
            let told = told.first().cloned().expect("one").expect("answered").expect("no null");
            (told, self.reads.load(Ordering::Relaxed))
        }
    }

    #[tokio::test]
    async fn the_same_words_are_read_once_one_after_the_other_or_at_once() {
        let desk = Desk::new();
        assert_eq!(desk.read(METHODS[0], b"first").await, (5, 1));
        assert_eq!(desk.read(METHODS[0], b"first").await, (5, 1));
        // Who came second has taken them away.
        assert_eq!(desk.read(METHODS[0], b"first").await, (5, 2));
        let (one, other) =
            tokio::join!(desk.read(METHODS[0], b"second"), desk.read(METHODS[0], b"second"));
        assert_eq!((one, other), ((6, 3), (6, 3)));
    }

    #[tokio::test]
    async fn other_words_or_another_question_are_read_for_themselves() {
        let desk = Desk::new();
        assert_eq!(desk.read(METHODS[0], b"first").await, (5, 1));
        assert_eq!(desk.read(METHODS[0], b"firsT").await, (5, 2));
        assert_eq!(desk.read("eth_call", b"first").await, (5, 3));
    }

    #[tokio::test]
    async fn no_more_bodies_are_kept_than_may_be() {
        let desk = Desk::new();
        for number in 0..=KEPT_MAX {
            desk.read(METHODS[0], number.to_string().as_bytes()).await;
        }
        assert_eq!(desk.once.kept().len(), KEPT_MAX);
        // The oldest is gone, the next one is there.
        let before = KEPT_MAX + 1;
        assert_eq!(desk.read(METHODS[0], b"0").await.1, before + 1);
        assert_eq!(desk.read(METHODS[0], KEPT_MAX.to_string().as_bytes()).await.1, before + 1);
    }
}
