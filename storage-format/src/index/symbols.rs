//! The texts of an index, each once, as a transducer from text to number.
//!
//! It is built by the crate `fst` and read here: that crate's reader trusts its bytes and panics on wrong ones.
//! Targets lie before the nodes that lead to them, so no bytes make a walk longer than their number.

use super::Parts;
use crate::Corruption;
use crate::bytes::u64_at;

/// Version and type in front of the nodes.
const HEAD_BYTES: usize = 16;
/// Count, root and the crate's checksum behind the nodes.
const TAIL_BYTES: usize = 20;
const FST_VERSION: u64 = 3;
/// Longest text. Without it a few nodes, each leading to the one before, would be a text as long as the region.
pub const SYMBOL_BYTES_MAX: usize = 65_536;
/// Stands for a node where a text ends and none goes on.
const END_ADDRESS: usize = 0;
/// Nodes of more ways have a table of them.
const WAYS_WITHOUT_TABLE: usize = 32;
const TABLE_BYTES: usize = 256;
/// Inputs that need no byte of their own, by their number, from 1.
const FREQUENT: &[u8; 63] = b"te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG";

/// The symbol region, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbols<'a> {
    parts: Parts<'a>,
    root: usize,
    count: u32,
}

impl<'a> Symbols<'a> {
    pub(crate) fn open(parts: Parts<'a>) -> Result<Symbols<'a>, Corruption> {
        let bytes = parts.bytes;
        if bytes.len() < HEAD_BYTES + TAIL_BYTES {
            return Err(parts.corruption(bytes.len(), "the symbols end before their count"));
        }
        if u64_at(bytes, 0) != FST_VERSION || u64_at(bytes, 8) != 0 {
            return Err(parts.corruption(0, "the symbols are of another layout"));
        }
        let tail = bytes.len() - TAIL_BYTES;
        let (Ok(count), Ok(root)) = (u32::try_from(u64_at(bytes, tail)), usize::try_from(u64_at(bytes, tail + 8)))
        else {
            return Err(parts.corruption(tail, "the count or the root of the symbols is out of range"));
        };
        Ok(Symbols { parts, root, count })
    }

    /// Number of symbols.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The symbol of a text, if the index has it.
    pub(crate) fn lookup(&self, text: &str) -> Result<Option<u32>, Corruption> {
        let (mut address, mut number) = (self.root, 0u64);
        for byte in text.as_bytes() {
            let node = self.node(address)?;
            let Some(way) = node.way_of(*byte) else { return Ok(None) };
            number = number.saturating_add(node.output(way).ok_or(self.damaged(address))?);
            address = node.target(way).ok_or(self.damaged(address))?;
        }
        let found = self.node(address)?.is_final.then(|| u32::try_from(number).ok()).flatten();
        Ok(found.filter(|number| *number < self.count))
    }

    /// Appends the text of a symbol. On damage `text` is as before.
    pub(crate) fn append_text(&self, symbol: u32, text: &mut String) -> Result<(), Corruption> {
        let outside = self.parts.corruption(self.parts.bytes.len(), "a symbol lies outside of its region");
        if symbol >= self.count {
            return Err(outside);
        }
        let (mut address, mut rest, mut bytes) = (self.root, u64::from(symbol), Vec::with_capacity(64));
        loop {
            let node = self.node(address)?;
            if rest == 0 && node.is_final {
                break;
            }
            let way = node.way_of_number(rest).ok_or(self.damaged(address))?;
            if bytes.len() == SYMBOL_BYTES_MAX {
                return Err(self.parts.corruption(address, "a symbol is longer than it may be"));
            }
            bytes.push(node.input(way).ok_or(self.damaged(address))?);
            rest -= node.output(way).filter(|output| *output <= rest).ok_or(self.damaged(address))?;
            address = node.target(way).ok_or(self.damaged(address))?;
        }
        let unreadable = |_| self.parts.corruption(address, "a symbol is not UTF-8");
        text.push_str(std::str::from_utf8(&bytes).map_err(unreadable)?);
        Ok(())
    }

    fn node(&self, address: usize) -> Result<Node<'a>, Corruption> {
        Node::open(self.parts.bytes, address).ok_or(self.damaged(address))
    }

    fn damaged(&self, address: usize) -> Corruption {
        self.parts.corruption(address, "a node of the symbols does not fit its region")
    }
}

/// The places of one node's parts; each ends where the one named before it starts.
#[derive(Clone, Copy)]
struct Node<'a> {
    bytes: &'a [u8],
    is_final: bool,
    ways: usize,
    /// The input of a node of one way.
    single: Option<u8>,
    inputs_end: usize,
    targets_end: usize,
    target_bytes: usize,
    outputs_end: usize,
    output_bytes: usize,
    /// Address of the first byte, from which targets are told.
    first: usize,
    /// Its only way leads to the node right before it.
    next: bool,
}

impl<'a> Node<'a> {
    fn open(bytes: &'a [u8], address: usize) -> Option<Node<'a>> {
        let mut node = Node {
            bytes,
            is_final: true,
            ways: 0,
            single: None,
            inputs_end: 0,
            targets_end: 0,
            target_bytes: 0,
            outputs_end: 0,
            output_bytes: 0,
            first: 0,
            next: false,
        };
        if address == END_ADDRESS {
            return Some(node);
        }
        if !(HEAD_BYTES..bytes.len() - TAIL_BYTES).contains(&address) {
            return None;
        }
        let kind = bytes[address];
        let mut back = Backwards { bytes, at: address };
        if kind & 0x80 == 0 {
            node.open_many(kind, &mut back)?;
        } else {
            node.open_one(kind, &mut back)?;
        }
        node.first = back.at;
        (node.first >= HEAD_BYTES && node.target_bytes <= 8 && node.output_bytes <= 8).then_some(node)
    }

    fn open_one(&mut self, kind: u8, back: &mut Backwards<'_>) -> Option<()> {
        self.is_final = false;
        self.ways = 1;
        self.single = Some(match kind & 0x3f {
            0 => back.byte()?,
            frequent => FREQUENT[usize::from(frequent) - 1],
        });
        self.next = kind & 0x40 != 0;
        if self.next {
            return Some(());
        }
        self.open_widths(back)?;
        self.targets_end = back.at;
        back.skip(self.target_bytes)?;
        self.outputs_end = back.at;
        back.skip(self.output_bytes)
    }

    fn open_many(&mut self, kind: u8, back: &mut Backwards<'_>) -> Option<()> {
        self.is_final = kind & 0x40 != 0;
        self.ways = match kind & 0x3f {
            0 => match back.byte()? {
                1 => 256,
                ways => usize::from(ways),
            },
            ways => usize::from(ways),
        };
        self.open_widths(back)?;
        if self.ways > WAYS_WITHOUT_TABLE {
            back.skip(TABLE_BYTES)?;
        }
        self.inputs_end = back.at;
        back.skip(self.ways)?;
        self.targets_end = back.at;
        back.skip(self.ways * self.target_bytes)?;
        self.outputs_end = back.at;
        back.skip((self.ways + usize::from(self.is_final)) * self.output_bytes)
    }

    fn open_widths(&mut self, back: &mut Backwards<'_>) -> Option<()> {
        let sizes = back.byte()?;
        self.target_bytes = usize::from(sizes >> 4);
        self.output_bytes = usize::from(sizes & 0x0f);
        Some(())
    }

    fn input(&self, way: usize) -> Option<u8> {
        match self.single {
            Some(input) => Some(input),
            None => self.bytes.get(self.inputs_end - 1 - way).copied(),
        }
    }

    fn output(&self, way: usize) -> Option<u64> {
        integer(self.bytes, self.outputs_end, way, self.output_bytes)
    }

    fn target(&self, way: usize) -> Option<usize> {
        if self.next {
            return Some(self.first - 1);
        }
        let back = usize::try_from(integer(self.bytes, self.targets_end, way, self.target_bytes)?).ok()?;
        if back == 0 { Some(END_ADDRESS) } else { self.first.checked_sub(back) }
    }

    fn way_of(&self, input: u8) -> Option<usize> {
        if let Some(single) = self.single {
            return (single == input).then_some(0);
        }
        if self.ways > WAYS_WITHOUT_TABLE {
            let way = usize::from(*self.bytes.get(self.inputs_end + usize::from(input))?);
            return (way < self.ways).then_some(way);
        }
        let inputs = self.bytes.get(self.inputs_end - self.ways..self.inputs_end)?;
        inputs.iter().rposition(|byte| *byte == input).map(|from_first| self.ways - 1 - from_first)
    }

    /// The last way whose output does not exceed `number`: outputs ascend with the inputs.
    fn way_of_number(&self, number: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.ways);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.output(middle)? <= number { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }
}

/// Takes bytes from the end of a node to its start.
struct Backwards<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Backwards<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.skip(1)?;
        Some(self.bytes[self.at])
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_sub(count)?;
        Some(())
    }
}

/// The integer of `width` bytes at position `way`, counted back from `end`. The tail behind the nodes is longer than a word.
fn integer(bytes: &[u8], end: usize, way: usize, width: usize) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let at = end.checked_sub((way + 1) * width)?;
    let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?);
    Some(word & (u64::MAX >> (64 - 8 * width)))
}

/// Encodes the symbol region: the texts, ascending, are numbered from 0.
pub(super) fn encode<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<u8> {
    let mut builder = fst::MapBuilder::new(Vec::new()).expect("memory takes all writes");
    for (number, text) in texts.enumerate() {
        builder.insert(text, number as u64).expect("symbols ascend, each is there once");
    }
    builder.into_inner().expect("memory takes all writes")
}
