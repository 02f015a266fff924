//! Another listener takes the place of the one there is, while writes go on.

use crossbeam::channel::bounded;

use super::Storage;
use super::tap::{self, Interest, TapSource};
use super::threads::ShardMessage;

impl Storage {
    /// One tap a shard for samples of the series that `interest` says yes to, in the place of those that were given out
    /// before, which end behind what is queued in them. Everything that the head holds of those series is missed at
    /// first: the listener reads it. Waits for what each shard has in its inbox; `None` while the database closes.
    pub fn listen_anew(&self, interest: Interest) -> Option<Vec<TapSource>> {
        let mut begun = Vec::new();
        for (index, inbox) in self.inboxes.iter().enumerate() {
            let (feed, source) = tap::tap(self.head.clone(), self.blocks.clone(), index, interest.clone());
            let (done, is_done) = bounded(1);
            // Held until it is handed over: what follows the order to close in an inbox would never be answered.
            let closing = self.closing.read();
            if *closing || inbox.send(ShardMessage::Listen { feed, done }).is_err() {
                return None;
            }
            drop(closing);
            begun.push((source, is_done));
        }
        begun.into_iter().map(|(source, is_done)| is_done.recv().ok().map(|()| source)).collect()
    }
}
