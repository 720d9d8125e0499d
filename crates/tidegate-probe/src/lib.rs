//! Looks at play URLs and says what was seen.
//!
//! [`Template`] makes the play URL of a stream, signed where the domain asks for it; [`Looker`]
//! makes one bounded look at such a URL over HTTP-FLV, HLS or RTMP. When to look, and what looks
//! prove together, is decided elsewhere: this crate knows no ledger, no vendor's API and no
//! schedule. Everything that a server sends is taken as hostile.

mod flv;
mod hls;
mod http;
mod look;
mod playlist;
mod recipe;
mod rtmp;
mod template;
mod words;

pub use look::{Looked, Looker, LookerError, Options};
pub use recipe::{PlayRecipe, Signing};
pub use template::{Kind, Template, TemplateError};
