//! The media listener's HTTP: one request a connection, answered with a stream or a short text.

pub(crate) mod head;
pub(crate) mod websocket;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::name::{NameError, canonical_path};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::head::{HeadError, MAX_HEAD, Method, Request, Upgrade};
use crate::container::Container;
use crate::gate::{Refusal, host_of};
use crate::listener::{Context, Place};
use crate::metrics::{Protocol, Reason};
use crate::player::{Player, Seat};
use crate::player_input::Input;
use crate::stream::Ticket;

/// First size of the buffer for a head; most fit.
const FIRST_READ: usize = 1024;

/// An answer other than a stream.
struct Answer {
    status: &'static str,
    fields: &'static str,
    text: String,
}

impl Answer {
    fn new(status: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            fields: "",
            text: text.into(),
        }
    }
}

/// Serves one connection until it is refused or handed to a distributor.
pub(crate) async fn serve(
    context: Arc<Context>,
    mut socket: TcpStream,
    peer: SocketAddr,
    place: Place,
) {
    let options = &context.hub.shared.options;
    let mut bytes = Vec::new();
    let read = timeout(options.head_timeout, read_head(&mut socket, &mut bytes)).await;
    let request = match read {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) => return tracing::debug!(%peer, "left before its request was complete"),
        Ok(Err(error)) => {
            context.hub.shared.metrics.protocol_errors.add(1);
            tracing::info!(%peer, "HTTP request refused: {error}");
            return respond(
                &context,
                socket,
                Method::Get,
                Answer::new(error.status(), error.to_string()),
            )
            .await;
        }
        Err(_) => {
            context.hub.shared.metrics.timeouts.add(1);
            tracing::info!(%peer, "closed: no complete HTTP request within {:?}", options.head_timeout);
            return;
        }
    };
    match admit(&context, &request, peer) {
        Ok(Admitted::Stream(ticket, container, first)) => {
            let rest = bytes.get(request.length..).unwrap_or_default();
            let seat = Seat {
                socket,
                peer,
                place,
                ticket,
                container,
                input: Input::Http(0),
                first: first.into(),
            };
            hand_over(&context, seat, rest);
        }
        Ok(Admitted::Answer(answer)) => respond(&context, socket, request.method, answer).await,
        Err((reason, answer)) => {
            context.hub.shared.metrics.refuse(reason);
            tracing::debug!(%peer, "play refused: {}", answer.text);
            respond(&context, socket, request.method, answer).await;
        }
    }
}

async fn read_head(
    socket: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> Result<Option<Request>, HeadError> {
    bytes.reserve(FIRST_READ);
    loop {
        if bytes.len() >= MAX_HEAD {
            return head::parse(bytes);
        }
        let room = u64::try_from(MAX_HEAD - bytes.len()).unwrap_or(0);
        match (&mut *socket).take(room).read_buf(bytes).await {
            Ok(n) if n > 0 => {}
            _ => return Ok(None),
        }
        if let Some(request) = head::parse(bytes)? {
            return Ok(Some(request));
        }
    }
}

enum Admitted {
    Stream(Ticket, Container, String),
    Answer(Answer),
}

fn admit(
    context: &Context,
    request: &Request,
    peer: SocketAddr,
) -> Result<Admitted, (Reason, Answer)> {
    let options = &context.hub.shared.options;
    match request.method {
        Method::Options => {
            return Ok(Admitted::Answer(Answer {
                status: "204 No Content",
                fields: "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
                         Access-Control-Allow-Headers: *\r\n\
                         Access-Control-Max-Age: 86400\r\n",
                text: String::new(),
            }));
        }
        Method::Other => {
            return Ok(Admitted::Answer(Answer {
                status: "405 Method Not Allowed",
                fields: "Allow: GET, HEAD, OPTIONS\r\n",
                text: "streams are played with GET".to_owned(),
            }));
        }
        Method::Get | Method::Head => {}
    }
    let mut named =
        canonical_path(&request.path, ".flv").map_err(|e| (Reason::Name, name_answer(&e)))?;
    named.query.clone_from(&request.query);
    if request.upgrade != Upgrade::None && !request.is_origin_allowed(&options.websocket_origins) {
        let text = "this origin may not open a WebSocket here: it is not in websocket_origins";
        return Err((Reason::Origin, Answer::new("403 Forbidden", text)));
    }
    let key = context
        .gate
        .admit_play_at(&named, host_of(&request.host), peer)
        .map_err(|r| refusal_answer(&r))?;
    let not_live = || {
        let text = format!("{}/{} is not live", named.app, named.stream);
        (Reason::NotLive, Answer::new("404 Not Found", text))
    };
    let stream = context.hub.live(&key).ok_or_else(not_live)?;
    if request.method == Method::Head {
        let text = flv_head(context, request);
        return Ok(Admitted::Answer(Answer::new(HEAD_OF_STREAM, text)));
    }
    let (container, protocol, first) = response(context, request).map_err(|a| (Reason::Name, a))?;
    let ticket = stream.ticket(protocol).ok_or_else(not_live)?;
    // A forbid that came since the first look either sees the ticket's stream or is seen here.
    if let Some(refusal) = context.gate.standing(&key) {
        return Err(refusal_answer(&refusal));
    }
    Ok(Admitted::Stream(ticket, container, first))
}

/// Marks the answer whose text is a whole response head already.
const HEAD_OF_STREAM: &str = "";

fn response(context: &Context, request: &Request) -> Result<(Container, Protocol, String), Answer> {
    match &request.upgrade {
        Upgrade::None if request.is_http11 => {
            let head = flv_head(context, request);
            Ok((Container::Chunked, Protocol::HttpFlv, head))
        }
        Upgrade::None => {
            let head = flv_head(context, request);
            Ok((Container::Plain, Protocol::HttpFlv, head))
        }
        Upgrade::Version => Err(Answer {
            status: "426 Upgrade Required",
            fields: "Sec-WebSocket-Version: 13\r\n",
            text: "only version 13 of WebSocket is spoken here".to_owned(),
        }),
        Upgrade::WebSocket(key) => {
            let accept = websocket::accept(key).ok_or_else(|| {
                Answer::new(
                    "400 Bad Request",
                    "Sec-WebSocket-Key is not 16 bytes in base64",
                )
            })?;
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            Ok((Container::WebSocket, Protocol::WebSocketFlv, head))
        }
    }
}

fn flv_head(context: &Context, request: &Request) -> String {
    let (version, framing) = if request.is_http11 {
        ("1.1", "Transfer-Encoding: chunked\r\n")
    } else {
        ("1.0", "")
    };
    let mut head = format!(
        "HTTP/{version} 200 OK\r\nContent-Type: video/x-flv\r\n\
         Cache-Control: no-cache, no-store\r\nConnection: close\r\n{framing}"
    );
    put_cors(&mut head, context);
    head.push_str("\r\n");
    head
}

fn put_cors(head: &mut String, context: &Context) {
    let origin = &context.hub.shared.options.cors_allow_origin;
    // A value with a line break in it would be two fields.
    if !origin.is_empty() && !origin.contains(['\r', '\n']) {
        let _ = write!(head, "Access-Control-Allow-Origin: {origin}\r\n");
        if origin != "*" {
            head.push_str("Vary: Origin\r\n");
        }
    }
}

fn name_answer(error: &NameError) -> Answer {
    match error {
        NameError::Parts => Answer::new(
            "404 Not Found",
            "nothing is here: streams are at /{app}/{stream}.flv, such as /live/demo.flv",
        ),
        NameError::TooLong => Answer::new("414 URI Too Long", error.to_string()),
        _ => Answer::new("400 Bad Request", error.to_string()),
    }
}

fn refusal_answer(refusal: &Refusal) -> (Reason, Answer) {
    let answer = match refusal {
        Refusal::Name(error) => name_answer(error),
        Refusal::UnknownApp(_) => Answer::new("404 Not Found", refusal.to_string()),
        _ => Answer::new("403 Forbidden", refusal.to_string()),
    };
    (refusal.reason(), answer)
}

fn hand_over(context: &Context, mut seat: Seat, rest: &[u8]) {
    let options = &context.hub.shared.options;
    let _ = socket2::SockRef::from(&seat.socket).set_send_buffer_size(options.send_buffer);
    if seat.container == Container::WebSocket {
        let mut reader = websocket::Reader::default();
        if let Err(error) = reader.handle(rest) {
            return tracing::info!(peer = %seat.peer, "player dropped: {error}");
        }
        seat.input = Input::WebSocket(Box::new(reader));
    }
    let stream = Arc::clone(&seat.ticket.stream);
    // A fresh socket takes the short head at once; what it does not take goes with the media.
    if let Ok(n) = seat.socket.try_write(&seat.first) {
        seat.first = Bytes::slice(&seat.first, n..);
    }
    stream.join(Player::new(seat));
}

async fn respond(context: &Context, mut socket: TcpStream, method: Method, answer: Answer) {
    let head = if answer.status == HEAD_OF_STREAM {
        answer.text
    } else {
        let mut head = format!("HTTP/1.1 {}\r\n{}", answer.status, answer.fields);
        put_cors(&mut head, context);
        let length = answer.text.len();
        if !answer.status.starts_with("204") {
            let _ = write!(
                head,
                "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n"
            );
        }
        head.push_str("Connection: close\r\n\r\n");
        if method != Method::Head {
            head.push_str(&answer.text);
        }
        head
    };
    let linger = context.hub.shared.options.linger;
    let close = async {
        socket.write_all(head.as_bytes()).await?;
        socket.shutdown().await?;
        // Unread input would turn the close into a reset, which can overtake the answer.
        let mut scratch = [0; 512];
        let mut left = 256_usize;
        while left > 0 && socket.read(&mut scratch).await? > 0 {
            left -= 1;
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(linger, close).await;
}
