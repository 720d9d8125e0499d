//! Reading AMF3 values, as an AMF0 message may embed them. Values are read so that what follows
//! them is found; references to earlier objects are not resolved. Never written.

use std::rc::Rc;

use super::{Decoder, Error, Value, string};

/// The reference tables, which live as long as one embedded value.
#[derive(Default)]
struct Tables<'a> {
    strings: Vec<&'a [u8]>,
    traits: Vec<Rc<Traits<'a>>>,
}

struct Traits<'a> {
    members: Vec<&'a [u8]>,
    dynamic: bool,
}

pub(super) fn value(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    Tables::default().value(decoder, depth)
}

impl<'a> Tables<'a> {
    fn value(&mut self, decoder: &mut Decoder<'a>, depth: usize) -> Result<Value, Error> {
        decoder.enter(depth)?;
        Ok(match decoder.byte()? {
            0 => Value::Undefined,
            1 => Value::Null,
            2 => Value::Boolean(false),
            3 => Value::Boolean(true),
            4 => Value::Number(integer(u29(decoder)?)),
            5 => Value::Number(decoder.double()?),
            6 => string(self.text(decoder)?),
            7 | 11 => match inline(decoder)? {
                Some(length) => {
                    let text = decoder.text(length)?;
                    Value::Xml(String::from_utf8_lossy(text).into_owned())
                }
                None => Value::Undefined,
            },
            8 => match inline(decoder)? {
                Some(_) => Value::Date(decoder.double()?),
                None => Value::Undefined,
            },
            9 => self.array(decoder, depth)?,
            10 => self.object(decoder, depth)?,
            12 => self.skip_sized(decoder, 1, 0)?,
            13 | 14 => self.skip_sized(decoder, 4, 1)?,
            15 => self.skip_sized(decoder, 8, 1)?,
            16 => self.object_vector(decoder, depth)?,
            17 => self.dictionary(decoder, depth)?,
            marker => return Err(Error::Marker(marker)),
        })
    }

    fn text(&mut self, decoder: &mut Decoder<'a>) -> Result<&'a [u8], Error> {
        let header = u29(decoder)? as usize;
        if header & 1 == 0 {
            let text = *self.strings.get(header >> 1).ok_or(Error::Reference)?;
            decoder.count_text(text.len())?;
            return Ok(text);
        }
        let text = decoder.text(header >> 1)?;
        if !text.is_empty() {
            self.strings.push(text);
        }
        Ok(text)
    }

    fn name(&mut self, decoder: &mut Decoder<'a>) -> Result<String, Error> {
        let text = self.text(decoder)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn array(&mut self, decoder: &mut Decoder<'a>, depth: usize) -> Result<Value, Error> {
        let Some(count) = inline(decoder)? else {
            return Ok(Value::Undefined);
        };
        let properties = self.dynamic_members(decoder, depth)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(decoder, depth + 1)?);
        }
        Ok(if properties.is_empty() {
            Value::StrictArray(elements)
        } else {
            Value::EcmaArray(properties)
        })
    }

    fn dynamic_members(
        &mut self,
        decoder: &mut Decoder<'a>,
        depth: usize,
    ) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.name(decoder)?;
            if name.is_empty() {
                return Ok(properties);
            }
            properties.push((name, self.value(decoder, depth + 1)?));
        }
    }

    fn object(&mut self, decoder: &mut Decoder<'a>, depth: usize) -> Result<Value, Error> {
        let header = u29(decoder)?;
        if header & 1 == 0 {
            return Ok(Value::Undefined);
        }
        let traits = if header & 2 == 0 {
            let at = (header >> 2) as usize;
            Rc::clone(self.traits.get(at).ok_or(Error::Reference)?)
        } else if header & 4 != 0 {
            // Only the class itself knows what an externalizable object holds.
            return Err(Error::Marker(10));
        } else {
            self.read_traits(decoder, header)?
        };
        let mut properties = Vec::new();
        for member in &traits.members {
            decoder.count_text(member.len())?;
            let name = String::from_utf8_lossy(member).into_owned();
            properties.push((name, self.value(decoder, depth + 1)?));
        }
        if traits.dynamic {
            properties.append(&mut self.dynamic_members(decoder, depth)?);
        }
        Ok(Value::Object(properties))
    }

    fn read_traits(
        &mut self,
        decoder: &mut Decoder<'a>,
        header: u32,
    ) -> Result<Rc<Traits<'a>>, Error> {
        self.text(decoder)?;
        let mut members = Vec::new();
        for _ in 0..header >> 4 {
            decoder.enter(0)?;
            members.push(self.text(decoder)?);
        }
        let traits = Rc::new(Traits {
            members,
            dynamic: header & 8 != 0,
        });
        self.traits.push(Rc::clone(&traits));
        Ok(traits)
    }

    /// Byte arrays and vectors of numbers: `count` elements of `size` bytes behind `flags` bytes.
    fn skip_sized(
        &mut self,
        decoder: &mut Decoder<'a>,
        size: usize,
        flags: usize,
    ) -> Result<Value, Error> {
        if let Some(count) = inline(decoder)? {
            decoder.take(flags)?;
            decoder.take(count.saturating_mul(size))?;
        }
        Ok(Value::Undefined)
    }

    fn object_vector(&mut self, decoder: &mut Decoder<'a>, depth: usize) -> Result<Value, Error> {
        let Some(count) = inline(decoder)? else {
            return Ok(Value::Undefined);
        };
        decoder.take(1)?;
        self.text(decoder)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(decoder, depth + 1)?);
        }
        Ok(Value::StrictArray(elements))
    }

    fn dictionary(&mut self, decoder: &mut Decoder<'a>, depth: usize) -> Result<Value, Error> {
        if let Some(count) = inline(decoder)? {
            decoder.take(1)?;
            for _ in 0..count {
                self.value(decoder, depth + 1)?;
                self.value(decoder, depth + 1)?;
            }
        }
        Ok(Value::Undefined)
    }
}

/// The count or length of a value that stands here, `None` for a reference.
fn inline(decoder: &mut Decoder<'_>) -> Result<Option<usize>, Error> {
    let header = u29(decoder)?;
    Ok((header & 1 == 1).then_some((header >> 1) as usize))
}

/// Seven bits a byte, the high bit saying that more follow; the fourth byte gives all eight.
fn u29(decoder: &mut Decoder<'_>) -> Result<u32, Error> {
    let mut number = 0;
    for _ in 0..3 {
        let byte = decoder.byte()?;
        number = number << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Ok(number << 8 | u32::from(decoder.byte()?))
}

fn integer(number: u32) -> f64 {
    let number = f64::from(number);
    if number >= 268_435_456.0 {
        number - 536_870_912.0
    } else {
        number
    }
}
