//! Protocol buffers' wire format, as far as TensorBoard's messages need it: <https://protobuf.dev/programming-guides/encoding>.
//! By hand, since the derive macros of prost would have much else of the program built again with other features.

/// A message that is being written. Every field that is given is written, also one with its default.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

/// How a field's value stands behind its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

impl Message {
    /// A whole number, a switch, or a variant.
    pub fn varint(mut self, field: u64, value: u64) -> Self {
        self.key(field, Wire::Varint);
        self.push(value);
        self
    }

    /// A number in 64 bits.
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, Wire::Fixed64);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A number in 32 bits.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, Wire::Fixed32);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A text, or bytes.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.key(field, Wire::Bytes);
        let value = value.as_ref();
        self.push(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Another message.
    pub fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, value.0)
    }

    /// A list of messages.
    pub fn messages(self, field: u64, values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, value))
    }

    /// As it is written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, wire: Wire) {
        self.push(field << 3 | wire as u64);
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn push(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// What a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number, a switch, or a variant.
    Varint(u64),
    /// A text, bytes or a message; of a number, its bytes.
    Bytes(&'a [u8]),
}

/// The fields of a message up to the first that is not whole.
pub fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = pull(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(pull(&mut bytes)?),
            1 => Value::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = pull(&mut bytes)?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            5 => Value::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let inner = Message::default().float(3, 0.5);
        let bytes = Message::default().varint(1, 300).bytes(2, "ab").message(4, inner).double(16, 1.0).into_bytes();
        // The first is the example of the specification, but for its field.
        assert_eq!(bytes[..3], [0x08, 0xac, 0x02]);
        let found: Vec<_> = fields(&bytes).collect();
        let half = [0x1d, 0, 0, 0, 0x3f];
        let one = 1f64.to_le_bytes();
        let expected =
            [(1, Value::Varint(300)), (2, Value::Bytes(b"ab")), (4, Value::Bytes(&half)), (16, Value::Bytes(&one))];
        assert_eq!(found, expected);
        for cut in 0..bytes.len() {
            assert!(fields(&bytes[..cut]).eq(expected.iter().copied().take(fields(&bytes[..cut]).count())));
        }
        assert_eq!(fields(&[0xff; 20]).count(), 0);
    }
}
