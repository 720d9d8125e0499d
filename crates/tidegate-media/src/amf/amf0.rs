//! AMF0 as published, with the switch to AMF3 for one value (marker 0x11).

use super::{Decoder, Error, Value, amf3, string};

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const OBJECT: u8 = 3;
const NULL: u8 = 5;
const UNDEFINED: u8 = 6;
const REFERENCE: u8 = 7;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: u8 = 9;
const STRICT_ARRAY: u8 = 10;
const DATE: u8 = 11;
const LONG_STRING: u8 = 12;
const UNSUPPORTED: u8 = 13;
const XML: u8 = 15;
const TYPED_OBJECT: u8 = 16;
const AVM_PLUS: u8 = 17;

impl Decoder<'_> {
    pub(super) fn amf0_value(&mut self, depth: usize) -> Result<Value, Error> {
        self.enter(depth)?;
        Ok(match self.byte()? {
            NUMBER => Value::Number(self.double()?),
            BOOLEAN => Value::Boolean(self.byte()? != 0),
            STRING => string(self.short_text()?),
            LONG_STRING => string(self.long_text()?),
            XML => Value::Xml(String::from_utf8_lossy(self.long_text()?).into_owned()),
            OBJECT => Value::Object(self.properties(depth)?),
            TYPED_OBJECT => {
                self.short_text()?;
                Value::Object(self.properties(depth)?)
            }
            ECMA_ARRAY => {
                // The count is a hint that encoders get wrong; the end marker decides.
                self.take(4)?;
                Value::EcmaArray(self.properties(depth)?)
            }
            STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                let mut elements = Vec::new();
                for _ in 0..count {
                    elements.push(self.amf0_value(depth + 1)?);
                }
                Value::StrictArray(elements)
            }
            DATE => {
                let date = self.double()?;
                self.take(2)?;
                Value::Date(date)
            }
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Undefined,
            REFERENCE => {
                self.take(2)?;
                Value::Undefined
            }
            AVM_PLUS => amf3::value(self, depth + 1)?,
            marker => return Err(Error::Marker(marker)),
        })
    }

    fn short_text(&mut self) -> Result<&[u8], Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(length.into())
    }

    fn long_text(&mut self) -> Result<&[u8], Error> {
        let length = u32::from_be_bytes(self.array()?);
        self.text(length as usize)
    }

    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let name = String::from_utf8_lossy(self.short_text()?).into_owned();
            if name.is_empty() && self.input.first() == Some(&OBJECT_END) {
                self.take(1)?;
                return Ok(properties);
            }
            properties.push((name, self.amf0_value(depth + 1)?));
        }
    }
}

pub(super) fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => {
            out.push(NUMBER);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Boolean(yes) => out.extend_from_slice(&[BOOLEAN, u8::from(*yes)]),
        Value::String(text) => encode_text(out, text.as_bytes()),
        Value::RawString(bytes) => encode_text(out, bytes),
        Value::Object(properties) => {
            out.push(OBJECT);
            encode_properties(out, properties);
        }
        Value::EcmaArray(properties) => {
            out.push(ECMA_ARRAY);
            out.extend_from_slice(&length(properties.len()));
            encode_properties(out, properties);
        }
        Value::StrictArray(elements) => {
            out.push(STRICT_ARRAY);
            out.extend_from_slice(&length(elements.len()));
            for element in elements {
                encode(out, element);
            }
        }
        Value::Date(date) => {
            out.push(DATE);
            out.extend_from_slice(&date.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
        }
        Value::Xml(text) => {
            out.push(XML);
            out.extend_from_slice(&length(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
        Value::Null => out.push(NULL),
        Value::Undefined => out.push(UNDEFINED),
    }
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

fn encode_text(out: &mut Vec<u8>, text: &[u8]) {
    if let Ok(short) = u16::try_from(text.len()) {
        out.push(STRING);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(LONG_STRING);
        out.extend_from_slice(&length(text.len()));
    }
    out.extend_from_slice(text);
}

fn encode_properties(out: &mut Vec<u8>, properties: &[(String, Value)]) {
    for (name, value) in properties {
        let name = name.as_bytes();
        let name = name.get(..usize::from(u16::MAX)).unwrap_or(name);
        let short = u16::try_from(name.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&short.to_be_bytes());
        out.extend_from_slice(name);
        encode(out, value);
    }
    out.extend_from_slice(&[0, 0, OBJECT_END]);
}
