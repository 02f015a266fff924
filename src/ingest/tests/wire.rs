//! The pieces of the walker, byte by byte.

use super::super::wire::{Fields, Value, whole_varint};

#[test]
fn number_is_read_only_if_it_takes_all_the_bytes() {
    assert_eq!(whole_varint(&[0]), Some(0));
    assert_eq!(whole_varint(&[0xac, 0x02]), Some(300));
    assert_eq!(whole_varint(&[0x80, 0x00]), Some(0), "longer than it need be");
    assert_eq!(whole_varint(&[]), None);
    assert_eq!(whole_varint(&[0x80]), None, "it goes on");
    assert_eq!(whole_varint(&[0x01, 0x02]), None, "two numbers");
    assert_eq!(whole_varint(&[0x80, 0x01, 0x02]), None, "two numbers, the first of two bytes");
    let mut longest = [0xff; 9];
    longest[8] = 0x7f;
    assert_eq!(whole_varint(&longest), Some((1 << 63) - 1));
    let ten = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(whole_varint(&ten), None, "left to the slow way");
}

#[test]
fn short_field_is_taken_only_under_its_tag_and_whole() {
    let mut fields = Fields::new(&[0x0a, 2, 7, 8, 0x0a, 0, 0x12, 0], 0);
    assert_eq!(fields.next_short(0x0a), Some(&[7, 8][..]));
    assert_eq!(fields.next_short(0x0a), Some(&[][..]));
    assert_eq!(fields.next_short(0x0a), None);
    assert_eq!(fields.position(), 6, "nothing was read");
    assert!(matches!(fields.next(), Ok(Some((2, Value::Bytes(&[]))))));
    assert_eq!(fields.next_short(0x0a), None);

    assert_eq!(Fields::new(&[0x0a, 3, 7, 8], 0).next_short(0x0a), None, "cut off");
    assert_eq!(Fields::new(&[0x0a], 0).next_short(0x0a), None, "cut off before its length");
    let mut long = vec![0x0a, 0x80, 0x01];
    long.resize(3 + 128, 1);
    assert_eq!(Fields::new(&long, 0).next_short(0x0a), None, "a length of two bytes");
    assert!(matches!(Fields::new(&long, 0).next(), Ok(Some((1, Value::Bytes(content)))) if content.len() == 128));
}

#[test]
fn what_is_wrong_is_told_with_its_byte() {
    let told = |bytes: &[u8]| {
        let error = Fields::new(bytes, 100).next().expect_err("refused");
        (error.offset, error.what)
    };
    assert_eq!(told(&[0x0a, 5, 1]), (102, "a field reaches behind the end of its message"));
    assert_eq!(told(&[0x09, 1, 2]), (101, "a field reaches behind the end of its message"));
    assert_eq!(told(&[0x08, 0x80]), (101, "the message ends within a number"));
    assert_eq!(told(&[0xff; 12]), (100, "a number of more than 64 bits"));
    assert_eq!(told(&[0x0b]).1, "a group, which this message does not have");
    assert_eq!(told(&[0x0e]).1, "an unknown wire type");
    assert_eq!(told(&[0x02, 0]).1, "a field with the number 0");
    assert_eq!(told(&[0x88, 0x80, 0x80, 0x80, 0x10, 1]).1, "a field tag of more than 32 bits");
}
