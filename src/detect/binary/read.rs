//! Bytes into values.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::BinaryError;

/// Reads the one value that the bytes are. Fails where they end early, go on behind it, or say what the type cannot be.
pub(in crate::detect) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BinaryError> {
    read_before(bytes, &[])
}

/// As [`read`], of a layout in which some structs had not all of today's fields: their names, and how many their last
/// fields are that the bytes lack. Those take their defaults.
pub(in crate::detect) fn read_before<T: DeserializeOwned>(bytes: &[u8], lacking: Lacking) -> Result<T, BinaryError> {
    let mut reader = Reader { rest: bytes, lacking };
    let value = T::deserialize(&mut reader)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(refuse("bytes are left behind the last field")) }
}

fn refuse(what: &str) -> BinaryError {
    BinaryError::custom(what)
}

/// Structs, and how many of their last fields the bytes lack.
pub(in crate::detect) type Lacking = &'static [(&'static str, usize)];

struct Reader<'a> {
    rest: &'a [u8],
    lacking: Lacking,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BinaryError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| refuse("the bytes end within a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], BinaryError> {
        Ok(self.take(COUNT)?.try_into().expect("as many were taken"))
    }

    fn varint(&mut self) -> Result<u64, BinaryError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(refuse("an integer has more than 64 bits"))
    }

    fn zigzag(&mut self) -> Result<i64, BinaryError> {
        let folded = self.varint()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Result<T, BinaryError> {
        T::try_from(self.varint()?).map_err(|_| refuse("an integer is too large for its field"))
    }

    fn signed<T: TryFrom<i64>>(&mut self) -> Result<T, BinaryError> {
        T::try_from(self.zigzag()?).map_err(|_| refuse("an integer is too large for its field"))
    }

    fn flag(&mut self) -> Result<bool, BinaryError> {
        match self.varint()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(refuse("neither 0 nor 1")),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], BinaryError> {
        let count = self.number()?;
        self.take(count)
    }

    fn text(&mut self) -> Result<&'a str, BinaryError> {
        std::str::from_utf8(self.bytes()?).map_err(BinaryError::custom)
    }
}

macro_rules! plain {
    ($($name:ident $visit:ident $read:ident;)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
            visitor.$visit(self.$read()?)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = BinaryError;

    plain! {
        deserialize_bool visit_bool flag;
        deserialize_u8 visit_u8 number;
        deserialize_u16 visit_u16 number;
        deserialize_u32 visit_u32 number;
        deserialize_u64 visit_u64 varint;
        deserialize_i8 visit_i8 signed;
        deserialize_i16 visit_i16 signed;
        deserialize_i32 visit_i32 signed;
        deserialize_i64 visit_i64 zigzag;
        deserialize_str visit_str text;
        deserialize_string visit_str text;
        deserialize_bytes visit_bytes bytes;
        deserialize_byte_buf visit_bytes bytes;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_char(char::from_u32(self.number()?).ok_or_else(|| refuse("no character"))?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        if self.flag()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        let left = self.number()?;
        visitor.visit_seq(Parts { reader: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, BinaryError> {
        visitor.visit_seq(Parts { reader: self, left: count })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, BinaryError> {
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        let left = self.number()?;
        visitor.visit_map(Parts { reader: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BinaryError> {
        let lacking = self.lacking.iter().find(|(of, _)| *of == name).map_or(0, |(_, count)| *count);
        self.deserialize_tuple(fields.len().saturating_sub(lacking), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BinaryError> {
        visitor.visit_enum(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, BinaryError> {
        Err(refuse("the bytes do not say what they are"))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BinaryError> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// So many parts, one behind the other.
struct Parts<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = BinaryError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, BinaryError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    // A part has a byte at least, but for those that have none at all.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.rest.len()))
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = BinaryError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BinaryError> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BinaryError> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = BinaryError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), BinaryError> {
        let index: u32 = self.number()?;
        Ok((seed.deserialize(index.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = BinaryError;

    fn unit_variant(self) -> Result<(), BinaryError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, BinaryError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, BinaryError> {
        self.deserialize_tuple(count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BinaryError> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
