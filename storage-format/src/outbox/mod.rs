#![doc = include_str!("../../spec/outbox.md")]

#[cfg(test)]
mod tests;

use crate::Corruption;
use crate::bytes::{Cursor, append_u32_text};

/// Kind of a record that holds a [`Notification`].
pub const KIND_NOTIFICATION: u8 = 1;
/// Kind of a record that holds a [`Delivered`].
pub const KIND_DELIVERED: u8 = 2;
/// Kind of a record that holds a [`GivenUp`].
pub const KIND_GIVEN_UP: u8 = 3;
/// Kind of a record that holds a [`Message`].
pub const KIND_MESSAGE: u8 = 4;
/// Kind of a record that holds a [`Told`].
pub const KIND_TOLD: u8 = 5;

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

/// What a receiver knows of a group of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Id of the last message.
    pub id: &'a str,
    /// Name of the receiver.
    pub receiver: &'a str,
    /// Names the group.
    pub group_key: &'a str,
    /// When the message was taken or, until then, made, ms since 1970 UTC.
    pub at_ms: i64,
    /// How much was said of the group to the receiver so far; 0 for a message that no group made.
    pub sequence: u64,
    /// When this may be forgotten, ms since 1970 UTC.
    pub expires_ms: i64,
    /// Fingerprints of the alerts that fired, ascending.
    pub firing: Vec<u64>,
    /// Fingerprints of the alerts that had ended, ascending.
    pub resolved: Vec<u64>,
}

/// Something that one receiver must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the receiver knows when it has it.
    pub told: Told<'a>,
    /// JSON, from which what is sent is made.
    pub body: &'a str,
}

impl<'a> Told<'a> {
    /// Appends the payload of a record of [`KIND_TOLD`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_u32_text(out, self.id);
        append_u32_text(out, self.receiver);
        append_u32_text(out, self.group_key);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.expires_ms.to_le_bytes());
        append_set(out, &self.firing);
        append_set(out, &self.resolved);
    }

    /// Reads the payload of a record of [`KIND_TOLD`].
    pub fn decode(payload: &'a [u8]) -> Result<Told<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let told = Told::read(&mut cursor)?;
        cursor.expect_end()?;
        Ok(told)
    }

    fn read(cursor: &mut Cursor<'a>) -> Result<Told<'a>, Corruption> {
        Ok(Told {
            id: cursor.u32_text()?,
            receiver: cursor.u32_text()?,
            group_key: cursor.u32_text()?,
            at_ms: cursor.i64()?,
            sequence: cursor.u64()?,
            expires_ms: cursor.i64()?,
            firing: set(cursor)?,
            resolved: set(cursor)?,
        })
    }
}

impl<'a> Message<'a> {
    /// Appends the payload of a record of [`KIND_MESSAGE`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.told.encode(out);
        append_u32_text(out, self.body);
    }

    /// Reads the payload of a record of [`KIND_MESSAGE`].
    pub fn decode(payload: &'a [u8]) -> Result<Message<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let message = Message { told: Told::read(&mut cursor)?, body: cursor.u32_text()? };
        cursor.expect_end()?;
        Ok(message)
    }
}

impl<'a> Notification<'a> {
    /// Appends the payload of a record of [`KIND_NOTIFICATION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_u32_text(out, self.id);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        out.push(match self.status {
            Status::Firing => 1,
            Status::Resolved => 2,
        });
        out.extend_from_slice(&self.starts_at_ms.to_le_bytes());
        out.extend_from_slice(&self.ends_at_ms.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        append_u32_text(out, self.body);
    }

    /// Reads the payload of a record of [`KIND_NOTIFICATION`].
    pub fn decode(payload: &'a [u8]) -> Result<Notification<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let notification = Notification {
            id: cursor.u32_text()?,
            fingerprint: cursor.u64()?,
            status: status(&mut cursor)?,
            starts_at_ms: cursor.i64()?,
            ends_at_ms: cursor.i64()?,
            created_ms: cursor.i64()?,
            body: cursor.u32_text()?,
        };
        cursor.expect_end()?;
        Ok(notification)
    }
}

impl<'a> Delivered<'a> {
    /// Appends the payload of a record of [`KIND_DELIVERED`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_u32_text(out, self.id);
        out.extend_from_slice(&self.receiver_index.to_le_bytes());
        append_u32_text(out, self.receiver);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.extend_from_slice(&self.http_status.to_le_bytes());
    }

    /// Reads the payload of a record of [`KIND_DELIVERED`].
    pub fn decode(payload: &'a [u8]) -> Result<Delivered<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let delivered = Delivered {
            id: cursor.u32_text()?,
            receiver_index: cursor.u16()?,
            receiver: cursor.u32_text()?,
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
        append_u32_text(out, self.id);
        append_u32_text(out, self.receiver);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        append_u32_text(out, self.reason);
    }

    /// Reads the payload of a record of [`KIND_GIVEN_UP`].
    pub fn decode(payload: &'a [u8]) -> Result<GivenUp<'a>, Corruption> {
        let mut cursor = Cursor::new(payload);
        let given_up = GivenUp {
            id: cursor.u32_text()?,
            receiver: cursor.u32_text()?,
            at_ms: cursor.i64()?,
            reason: cursor.u32_text()?,
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

fn append_set(out: &mut Vec<u8>, members: &[u64]) {
    assert!(members.is_sorted_by(|one, next| one < next), "a set ascends: {members:?}");
    let count = u32::try_from(members.len()).expect("a set is smaller than a record's 64 MiB");
    out.extend_from_slice(&count.to_le_bytes());
    members.iter().for_each(|member| out.extend_from_slice(&member.to_le_bytes()));
}

fn set(cursor: &mut Cursor<'_>) -> Result<Vec<u64>, Corruption> {
    let count = cursor.u32()?;
    let mut members: Vec<u64> = Vec::new();
    for _ in 0..count {
        let at = cursor.position();
        let member = cursor.u64()?;
        if members.last().is_some_and(|last| *last >= member) {
            return Err(Corruption::at(at, "a set does not ascend"));
        }
        members.push(member);
    }
    Ok(members)
}
