//! TFRecord, the frame of each message in an event file: its length in 8 bytes, their checksum, the message, its
//! checksum. <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>

use crc32c::crc32c;

/// Length and its checksum.
const HEAD: usize = 12;
/// Checksum of the message.
const TAIL: usize = 4;

/// Checksums of data that has checksums of its own in it would be weak, so they are turned and moved.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The messages, each in its frame.
pub fn framed(messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        let length = (message.len() as u64).to_le_bytes();
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&masked(&length).to_le_bytes());
        bytes.extend_from_slice(&message);
        bytes.extend_from_slice(&masked(&message).to_le_bytes());
    }
    bytes
}

/// The messages up to the first that is not whole, and how many bytes they take.
pub fn read(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut messages, mut at) = (Vec::new(), 0);
    while let Some((message, length)) = read_one(&bytes[at..]) {
        messages.push(message);
        at += length;
    }
    (messages, at)
}

fn read_one(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    let (length, rest) = bytes.split_at_checked(8)?;
    let is_whole = number(rest.get(..4)?)? == masked(length);
    let size = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok().filter(|_| is_whole)?;
    let message = bytes.get(HEAD..HEAD.checked_add(size)?)?;
    let checksum = number(bytes.get(HEAD + size..HEAD + size + TAIL)?)?;
    (checksum == masked(message)).then_some((message, HEAD + size + TAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_garbled_is_not_believed() {
        let mut bytes = framed([vec![1, 2, 3]]);
        assert_eq!(read(&bytes), (vec![&[1, 2, 3][..]], 19));
        bytes[7] = 0xff;
        assert_eq!(read(&bytes), (vec![], 0));
    }
}
