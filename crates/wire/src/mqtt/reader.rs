//! The data representations of MQTT 5 §1.5, read from a packet and written to one.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::decode::DecodeError;
use super::packet::PacketId;
use super::property::{SubscriptionId, UserProperty};
use super::text::{Binary, Secret, Text};
use super::topic::{TopicFilter, TopicName};

/// Largest variable byte integer (MQTT 5 §1.5.5), and so the longest remaining length.
pub(super) const VARINT_MAX: usize = 268_435_455;

/// A variable byte integer at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Varint {
    pub(super) value: usize,
    /// Bytes it took.
    pub(super) width: usize,
}

impl Varint {
    /// Reads one; `None` when the bytes end before it does.
    pub(super) fn peek(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut value = 0;
        for (at, &byte) in bytes.iter().take(4).enumerate() {
            value |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(Some(Self {
                    value,
                    width: at + 1,
                }));
            }
        }
        if bytes.len() < 4 {
            Ok(None)
        } else {
            Err(DecodeError::Length)
        }
    }

    /// Whether fewer bytes would have done, which MQTT 5 forbids [MQTT-1.5.5-1].
    pub(super) const fn is_padded(self) -> bool {
        self.width != varint_size(self.value)
    }
}

/// Bytes a variable byte integer takes.
pub(super) const fn varint_size(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Writes a variable byte integer of at most [`VARINT_MAX`].
pub(super) fn put_varint(mut value: usize, buf: &mut BytesMut) {
    while value > 0x7f {
        buf.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buf.put_u8(value as u8);
}

/// Reads fields from the front of a packet.
#[derive(Debug)]
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.0.try_get_u16().map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.0.try_get_u32().map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn varint(&mut self) -> Result<usize, DecodeError> {
        let varint = Varint::peek(&self.0)?.ok_or(DecodeError::Truncated)?;
        if varint.is_padded() {
            return Err(DecodeError::Length);
        }
        self.0.advance(varint.width);
        Ok(varint.value)
    }

    /// The next `size` bytes.
    pub(super) fn take(&mut self, size: usize) -> Result<Bytes, DecodeError> {
        if size > self.0.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(self.0.split_to(size))
    }

    /// All that is left.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    /// Says that the packet must end here.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }

    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::PacketId)
    }

    pub(super) fn field<F: Field>(&mut self) -> Result<F, DecodeError> {
        F::read(self)
    }
}

/// A value that a packet or a property holds.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError>;
    /// Bytes that [`Field::write`] adds.
    fn size(&self) -> usize;
    fn write(&self, buf: &mut BytesMut);
}

/// A byte that is 0 or 1; another value is a protocol error wherever MQTT 5 has such a byte.
impl Field for bool {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::PropertyValue),
        }
    }

    fn size(&self) -> usize {
        1
    }

    fn write(&self, buf: &mut BytesMut) {
        buf.put_u8(u8::from(*self));
    }
}

impl Field for u16 {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.u16()
    }

    fn size(&self) -> usize {
        2
    }

    fn write(&self, buf: &mut BytesMut) {
        buf.put_u16(*self);
    }
}

impl Field for u32 {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.u32()
    }

    fn size(&self) -> usize {
        4
    }

    fn write(&self, buf: &mut BytesMut) {
        buf.put_u32(*self);
    }
}

impl Field for NonZeroU16 {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).ok_or(DecodeError::PropertyValue)
    }

    fn size(&self) -> usize {
        2
    }

    fn write(&self, buf: &mut BytesMut) {
        buf.put_u16(self.get());
    }
}

impl Field for NonZeroU32 {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::new(reader.u32()?).ok_or(DecodeError::PropertyValue)
    }

    fn size(&self) -> usize {
        4
    }

    fn write(&self, buf: &mut BytesMut) {
        buf.put_u32(self.get());
    }
}

impl Field for SubscriptionId {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let value = u32::try_from(reader.varint()?).map_err(|_| DecodeError::Length)?;
        Self::new(value).ok_or(DecodeError::PropertyValue)
    }

    fn size(&self) -> usize {
        varint_size(self.get() as usize)
    }

    fn write(&self, buf: &mut BytesMut) {
        put_varint(self.get() as usize, buf);
    }
}

impl Field for Binary {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let size = reader.u16()?;
        Ok(Self::new(reader.take(size.into())?)?)
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, buf: &mut BytesMut) {
        put_short(self, buf);
    }
}

impl Field for Secret {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Binary::read(reader).map(Self::from)
    }

    fn size(&self) -> usize {
        2 + self.expose().len()
    }

    fn write(&self, buf: &mut BytesMut) {
        put_short(self.expose(), buf);
    }
}

impl Field for Text {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let size = reader.u16()?;
        Ok(Self::from_utf8(reader.take(size.into())?)?)
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, buf: &mut BytesMut) {
        put_short(self.as_bytes(), buf);
    }
}

impl Field for TopicName {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::from_text(Text::read(reader)?).map_err(|_| DecodeError::TopicName)
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, buf: &mut BytesMut) {
        put_short(self.as_bytes(), buf);
    }
}

impl Field for TopicFilter {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Self::from_text(Text::read(reader)?).map_err(|_| DecodeError::TopicFilter)
    }

    fn size(&self) -> usize {
        2 + self.len()
    }

    fn write(&self, buf: &mut BytesMut) {
        put_short(self.as_bytes(), buf);
    }
}

impl Field for UserProperty {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.field()?,
            value: reader.field()?,
        })
    }

    fn size(&self) -> usize {
        self.name.size() + self.value.size()
    }

    fn write(&self, buf: &mut BytesMut) {
        self.name.write(buf);
        self.value.write(buf);
    }
}

/// Writes at most 65,535 bytes after their two byte length; the types of the callers keep that bound.
pub(super) fn put_short(bytes: &[u8], buf: &mut BytesMut) {
    buf.put_u16(bytes.len() as u16);
    buf.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_byte_integer_has_one_to_four_bytes() {
        // MQTT 5 §1.5.5 table 1-1.
        for (value, bytes) in [
            (0, &b"\x00"[..]),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (16_383, b"\xff\x7f"),
            (16_384, b"\x80\x80\x01"),
            (2_097_151, b"\xff\xff\x7f"),
            (2_097_152, b"\x80\x80\x80\x01"),
            (VARINT_MAX, b"\xff\xff\xff\x7f"),
        ] {
            let mut buf = BytesMut::new();
            put_varint(value, &mut buf);
            assert_eq!(&buf[..], bytes);
            assert_eq!(varint_size(value), bytes.len());
            assert_eq!(
                Varint::peek(bytes),
                Ok(Some(Varint {
                    value,
                    width: bytes.len()
                }))
            );
        }
        assert_eq!(Varint::peek(b"\x80\x80\x80"), Ok(None));
        assert_eq!(
            Varint::peek(b"\x80\x80\x80\x80\x01"),
            Err(DecodeError::Length)
        );
        assert!(Varint::peek(b"\x80\x00").unwrap().unwrap().is_padded());
    }
}
