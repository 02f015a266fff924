//! Values into bytes.

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::BinaryError;

/// Appends a value. Fails where it has a sequence whose length is not known beforehand; the bytes are then of no use.
pub(in crate::detect) fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<(), BinaryError> {
    value.serialize(&mut Writer { bytes })
}

struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn count(&mut self, count: Option<usize>) -> Result<(), BinaryError> {
        let count = count.ok_or_else(|| BinaryError::custom("a sequence of unknown length"))?;
        self.varint(count as u64);
        Ok(())
    }
}

macro_rules! integers {
    ($($name:ident($type:ty) => $convert:expr;)*) => {
        $(fn $name(self, value: $type) -> Result<(), BinaryError> {
            self.varint($convert(value));
            Ok(())
        })*
    };
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl Serializer for &mut Writer<'_> {
    type Ok = ();
    type Error = BinaryError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    integers! {
        serialize_bool(bool) => u64::from;
        serialize_u8(u8) => u64::from;
        serialize_u16(u16) => u64::from;
        serialize_u32(u32) => u64::from;
        serialize_u64(u64) => u64::from;
        serialize_i8(i8) => |value| zigzag(i64::from(value));
        serialize_i16(i16) => |value| zigzag(i64::from(value));
        serialize_i32(i32) => |value| zigzag(i64::from(value));
        serialize_i64(i64) => zigzag;
        serialize_char(char) => u64::from;
    }

    fn serialize_f32(self, value: f32) -> Result<(), BinaryError> {
        self.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), BinaryError> {
        self.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), BinaryError> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), BinaryError> {
        self.varint(value.len() as u64);
        self.bytes.extend(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), BinaryError> {
        self.varint(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), BinaryError> {
        self.varint(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), BinaryError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), BinaryError> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, variant: u32, _: &'static str) -> Result<(), BinaryError> {
        self.varint(u64::from(variant));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), BinaryError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), BinaryError> {
        self.varint(u64::from(variant));
        value.serialize(self)
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<Self, BinaryError> {
        self.count(count)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, BinaryError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, BinaryError> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, BinaryError> {
        self.varint(u64::from(variant));
        Ok(self)
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Self, BinaryError> {
        self.count(count)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, BinaryError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, BinaryError> {
        self.varint(u64::from(variant));
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What holds parts writes them one behind the other.
macro_rules! parts {
    ($($trait:ident $name:ident($($key:ty)?);)*) => {
        $(impl $trait for &mut Writer<'_> {
            type Ok = ();
            type Error = BinaryError;

            fn $name<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Result<(), BinaryError> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), BinaryError> {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq serialize_element();
    SerializeTuple serialize_element();
    SerializeTupleStruct serialize_field();
    SerializeTupleVariant serialize_field();
    SerializeStruct serialize_field(&'static str);
    SerializeStructVariant serialize_field(&'static str);
}

impl SerializeMap for &mut Writer<'_> {
    type Ok = ();
    type Error = BinaryError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), BinaryError> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), BinaryError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), BinaryError> {
        Ok(())
    }
}
