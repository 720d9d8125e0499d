//! AMF0, and of AMF3 what commands need.

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number.
    Number(f64),
}
