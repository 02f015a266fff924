#![doc = include_str!("../../spec/outbox.md")]

#[cfg(test)]
mod tests;

use crate::Corruption;
use crate::bytes::Cursor;

/// Kind of a record that holds a [`Notification`].
pub const KIND_NOTIFICATION: u8 = 1;
/// Kind of a record that holds a [`Delivered`].
pub const KIND_DELIVERED: u8 = 2;
/// Kind of a record that holds a [`GivenUp`].
pub const KIND_GIVEN_UP: u8 = 3;

/// What a notification tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The alert began, or goes on.
    Firing,
    /// The alert ended.
    Resolved,
}

/// A message that must reach its receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The same on every attempt; receivers tell repetitions by it.
    pub id: &'a str,
    /// Hash of the alert's labels.
    pub fingerprint: u64,
    /// What it tells.
    pub status: Status,
    /// When the alert began, ms since 1970 UTC.
    pub starts_at_ms: i64,
    /// When the alert ended, ms since 1970 UTC; 0 while it goes on.
    pub ends_at_ms: i64,
    /// When this message was made, ms since 1970 UTC.
    pub created_ms: i64,
    /// JSON, from which what is sent to each receiver is made.
    pub body: &'a str,
}

/// A receiver took a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered<'a> {
    /// The [`Notification::id`].
    pub id: &'a str,
    /// Position of the receiver in the configuration of that time.
    pub receiver_index: u16,
    /// Name of the receiver.
    pub receiver: &'a str,
    /// When it answered, ms since 1970 UTC.
    pub at_ms: i64,
    /// The status it answered with.
    pub http_status: u16,
}

/// A message that a receiver will not be offered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp<'a> {
    /// The [`Notification::id`].
    pub id: &'a str,
    /// Name of the receiver.
    pub receiver: &'a str,
    /// When it was given up, ms since 1970 UTC.
    pub at_ms: i64,
    /// Why, for the operator.
    pub reason: &'a str,
}

impl<'a> Notification<'a> {
    /// Appends the payload of a record of [`KIND_NOTIFICATION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_text(out, self.id);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        out.push(match self.status {
            Status::Firing => 1,
            Status::Resolved => 2,
        });
        out.extend_from_slice(&self.starts_at_ms.to_le_bytes());
        out.extend_from_slice(&self.ends_at_ms.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        append_text(out, self.body);
    }

    /// Reads the payload of a record of [`KIND_NOTIFICATION`].
    pub fn decode(payload: &'a [u8]) -> Result<Notification<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let notification = Notification {
            id: text(&mut cursor)?,
            fingerprint: cursor.u64()?,
            status: status(&mut cursor)?,
            starts_at_ms: cursor.i64()?,
            ends_at_ms: cursor.i64()?,
            created_ms: cursor.i64()?,
            body: text(&mut cursor)?,
        };
        cursor.expect_end()?;
        Ok(notification)
    }
}

impl<'a> Delivered<'a> {
    /// Appends the payload of a record of [`KIND_DELIVERED`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_text(out, self.id);
        out.extend_from_slice(&self.receiver_index.to_le_bytes());
        append_text(out, self.receiver);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.extend_from_slice(&self.http_status.to_le_bytes());
    }

    /// Reads the payload of a record of [`KIND_DELIVERED`].
    pub fn decode(payload: &'a [u8]) -> Result<Delivered<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let delivered = Delivered {
            id: text(&mut cursor)?,
            receiver_index: cursor.u16()?,
            receiver: text(&mut cursor)?,
            at_ms: cursor.i64()?,
            http_status: cursor.u16()?,
        };
        cursor.expect_end()?;
        Ok(delivered)
    }
}

impl<'a> GivenUp<'a> {
    /// Appends the payload of a record of [`KIND_GIVEN_UP`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_text(out, self.id);
        append_text(out, self.receiver);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        append_text(out, self.reason);
    }

    /// Reads the payload of a record of [`KIND_GIVEN_UP`].
    pub fn decode(payload: &'a [u8]) -> Result<GivenUp<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let given_up = GivenUp {
            id: text(&mut cursor)?,
            receiver: text(&mut cursor)?,
            at_ms: cursor.i64()?,
            reason: text(&mut cursor)?,
        };
        cursor.expect_end()?;
        Ok(given_up)
    }
}

fn status(cursor: &mut Cursor<'_>) -> Result<Status, Corruption> {
    let at = cursor.position();
    match cursor.u8()? {
        1 => Ok(Status::Firing),
        2 => Ok(Status::Resolved),
        _ => Err(Corruption::at(at, "a status is neither firing nor resolved")),
    }
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("a text is shorter than a record's 64 MiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Corruption> {
    let length = cursor.u32()?;
    cursor.text(u64::from(length))
}
