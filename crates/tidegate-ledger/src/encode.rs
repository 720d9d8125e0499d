//! One unambiguous byte form for what is hashed or authenticated: a label, then fields with their
//! type and length, so that no two different field lists have the same bytes.

/// Collects fields.
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    /// Starts with a label that says what the fields mean.
    pub(crate) fn new(label: &str) -> Self {
        let mut this = Self(Vec::with_capacity(256));
        this.text(label);
        this
    }

    /// Adds bytes.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.push(b'b');
        self.0
            .extend_from_slice(&(value.len() as u64).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// Adds a number.
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        self.0.push(b'i');
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Adds a text that may be absent.
    pub(crate) fn maybe_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.absent(),
        }
    }

    /// Adds a number that may be absent.
    pub(crate) fn maybe_int(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.int(value),
            None => self.absent(),
        }
    }

    fn absent(&mut self) -> &mut Self {
        self.0.push(b'-');
        self
    }

    /// The bytes so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
