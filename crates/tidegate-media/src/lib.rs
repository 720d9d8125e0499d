//! Sans-I/O media protocols and containers: RTMP (server and client), AMF, FLV, and enough of the
//! FLV codec layer to tell a key frame from any other packet.
//!
//! Bytes go in, bytes and events come out. Nothing here opens a socket, reads a clock, draws
//! randomness or logs; the caller does. Media payloads are `Bytes` in FLV tag-body form, which is
//! also the body of an RTMP audio or video message, and are handed on unchanged.

pub mod amf;
pub mod flv;
pub mod packet;
pub mod rtmp;
