//! AMF0, and of AMF3 what RTMP commands need: values in, values out.
//!
//! Reading is bounded in depth, in the number of values and in text, whatever the input claims.
//! Metadata is not read here: it passes through as bytes.

mod amf0;
mod amf3;
#[cfg(test)]
mod tests;

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 32;

/// Values (properties and elements included) that one message may hold.
pub const MAX_VALUES: usize = 1024;

/// Bytes of text, names included, that one message may decode to. References in AMF3 repeat text
/// without repeating bytes, so the length of the input is no bound.
pub const MAX_TEXT: usize = 256 * 1024;

/// A value of either AMF version.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number; AMF3 integers too.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// Text, long or short.
    String(String),
    /// Text that is not UTF-8.
    RawString(Vec<u8>),
    /// Properties in their order; typed objects lose their class.
    Object(Vec<(String, Value)>),
    /// As an object; written as an ECMA array.
    EcmaArray(Vec<(String, Value)>),
    /// Elements.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970.
    Date(f64),
    /// An XML document.
    Xml(String),
    /// Null.
    Null,
    /// Undefined, and what has no other form here: references, byte arrays, vectors.
    Undefined,
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A property of an object or ECMA array; the last one where a name comes twice.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => properties
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// An object of these properties.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(
            properties
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// Why bytes are not AMF, or not AMF that is read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends inside a value.
    #[error("AMF value cut off")]
    CutOff,
    /// An unknown marker.
    #[error("AMF marker {0:#04x} is not known")]
    Marker(u8),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("AMF nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// More than [`MAX_VALUES`].
    #[error("AMF message with more than {MAX_VALUES} values")]
    TooMany,
    /// More than [`MAX_TEXT`].
    #[error("AMF message with more than {MAX_TEXT} bytes of text")]
    TooMuchText,
    /// A reference to what was not there.
    #[error("AMF reference to nothing")]
    Reference,
}

/// Reads one value after the other from AMF0 bytes.
#[derive(Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    values: usize,
    text: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            values: 0,
            text: 0,
        }
    }

    /// The next value, `None` at the end of the input.
    pub fn next_value(&mut self) -> Result<Option<Value>, Error> {
        if self.input.is_empty() {
            return Ok(None);
        }
        self.amf0_value(0).map(Some)
    }

    fn enter(&mut self, depth: usize) -> Result<(), Error> {
        self.values += 1;
        if depth >= MAX_DEPTH {
            Err(Error::Depth)
        } else if self.values > MAX_VALUES {
            Err(Error::TooMany)
        } else {
            Ok(())
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.input.split_at_checked(count).ok_or(Error::CutOff)?;
        self.input = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.input.split_first_chunk().ok_or(Error::CutOff)?;
        self.input = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn double(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_be_bytes)
    }

    fn count_text(&mut self, bytes: usize) -> Result<(), Error> {
        self.text += bytes;
        if self.text > MAX_TEXT {
            return Err(Error::TooMuchText);
        }
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<&'a [u8], Error> {
        self.count_text(length)?;
        self.take(length)
    }
}

/// Text as a value, whether or not it is UTF-8.
fn string(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => Value::RawString(bytes.to_vec()),
    }
}

/// All values of a message.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(input);
    let mut values = Vec::new();
    while let Some(value) = decoder.next_value()? {
        values.push(value);
    }
    Ok(values)
}

/// Appends `value` in AMF0. Property names past 65,535 bytes are cut.
pub fn encode(out: &mut Vec<u8>, value: &Value) {
    amf0::encode(out, value);
}
