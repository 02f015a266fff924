//! The protobuf wire format, walked in place: tags, varints, lengths, all checked against the bytes that are there.

/// What is wrong with a message, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireError {
    pub(crate) offset: usize,
    pub(crate) what: &'static str,
}

/// A field as it stands in the message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// A message, read field by field.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where `bytes` starts in the body, so that errors name a position in that.
    base: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8], base: usize) -> Fields<'a> {
        Fields { bytes, position: 0, base }
    }

    /// Where the next field starts, within this message.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Where this message starts in the body.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// The next field's number and value, or `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.position == self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag).map_err(|_| self.error("a field tag of more than 32 bits"))? >> 3;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.delimited()?),
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            3 | 4 => return Err(self.error("a group, which this message does not have")),
            _ => return Err(self.error("an unknown wire type")),
        };
        match number {
            0 => Err(self.error("a field with the number 0")),
            _ => Ok(Some((number, value))),
        }
    }

    /// The next message of a stream of them, each behind its length; `None` at the end.
    pub(crate) fn next_delimited(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        if self.position == self.bytes.len() {
            return Ok(None);
        }
        self.delimited().map(Some)
    }

    /// The content of the next field if it has this one-byte tag and is shorter than 128 bytes, as labels and samples
    /// nearly always are. Otherwise nothing is read, and [`Fields::next`] says what is there.
    #[inline]
    pub(crate) fn next_short(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, length @ 0..0x80, rest @ ..] = self.bytes.get(self.position..)? else { return None };
        let content = rest.get(..usize::from(*length)).filter(|_| *found == tag)?;
        self.position += 2 + content.len();
        Some(content)
    }

    /// The next number of a packed list, or `None` at the end.
    pub(crate) fn next_packed(&mut self) -> Result<Option<u64>, WireError> {
        if self.position == self.bytes.len() { Ok(None) } else { self.varint().map(Some) }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.bytes.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for index in 0..10 {
            let Some(&byte) = self.bytes.get(self.position + index) else {
                return Err(self.error("the message ends within a number"));
            };
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.position += index + 1;
                return Ok(value);
            }
        }
        Err(self.error("a number of more than 64 bits"))
    }

    #[inline]
    fn fixed64(&mut self) -> Result<u64, WireError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("take(8) gives 8 bytes")))
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.error("a length of more than the address space")),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let rest = &self.bytes[self.position..];
        if length > rest.len() {
            return Err(self.error("a field reaches behind the end of its message"));
        }
        self.position += length;
        Ok(&rest[..length])
    }

    #[cold]
    pub(crate) fn error(&self, what: &'static str) -> WireError {
        WireError { offset: self.base + self.position, what }
    }
}

/// The number that takes exactly these bytes; `None` also for one of more than nine, which [`Fields`] judges.
#[inline]
pub(crate) fn whole_varint(bytes: &[u8]) -> Option<u64> {
    let (last, others) = bytes.split_last().filter(|(last, others)| **last < 0x80 && others.len() < 9)?;
    let mut value = u64::from(*last);
    for byte in others.iter().rev() {
        if *byte < 0x80 {
            return None;
        }
        value = value << 7 | u64::from(byte & 0x7f);
    }
    Some(value)
}
