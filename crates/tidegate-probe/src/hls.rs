//! One look at an HLS URL: a playlist that changes is live, one that does not is a leftover.

use std::time::Duration;

use reqwest::Url;
use tidegate_core::probe::Look;
use tokio::time::{Instant, sleep_until};

use crate::http::{Http, Piece, resolve};
use crate::look::{Run, Verdict};
use crate::playlist::{Media, Playlist, parse};

/// Kept for the last request before the deadline.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// Looks until the playlist has moved, or can be said not to move. Segments are not fetched.
pub(crate) async fn look(http: &Http, run: &mut Run, url: Url, longest_wait: Duration) -> Verdict {
    match watch(http, run, url, longest_wait).await {
        Ok(verdict) | Err(verdict) => verdict,
    }
}

async fn watch(
    http: &Http,
    run: &mut Run,
    url: Url,
    longest_wait: Duration,
) -> Result<Verdict, Verdict> {
    let (url, first) = open(http, run, url).await?;
    judge(&first)?;
    let seen = Instant::now();
    // A live playlist changes within one and a half target durations (RFC 8216, 6.2.2).
    let settled = seen + first.target + first.target / 2;
    let last_request = run
        .deadline
        .checked_sub(LAST_REQUEST)
        .unwrap_or(seen)
        .max(seen);
    let mut next = (seen + first.target.min(longest_wait)).min(last_request);
    loop {
        sleep_until(next).await;
        let asked = Instant::now();
        let Playlist::Media(later) = fetch(http, run, url.clone()).await?.1 else {
            let words = "a playlist that became a master playlist";
            return Err(Verdict::new(Look::NoAnswer, words));
        };
        judge(&later)?;
        if later.has_moved(&first) {
            return Ok(Verdict::new(Look::Media, "the playlist moves"));
        }
        if asked >= settled {
            let words = format!("the playlist has not moved for {:?}", asked - seen);
            return Ok(Verdict::new(Look::Absent, words));
        }
        if asked >= last_request {
            let words = format!(
                "the playlist has not moved for {:?}, its target duration is {:?}: too short a \
                 time to be sure",
                asked - seen,
                first.target
            );
            return Ok(Verdict::new(Look::NoAnswer, words));
        }
        next = settled.min(last_request);
    }
}

/// The media playlist behind `url` and its address.
async fn open(http: &Http, run: &mut Run, url: Url) -> Result<(Url, Media), Verdict> {
    let (url, playlist) = fetch(http, run, url).await?;
    let variant = match playlist {
        Playlist::Media(media) => return Ok((url, media)),
        Playlist::Master(variant) => variant,
    };
    let no_answer = |words: String| Verdict::new(Look::NoAnswer, words);
    let url = resolve(&url, &variant)
        .map_err(|words| no_answer(format!("a master playlist: {words}")))?;
    match fetch(http, run, url).await? {
        (url, Playlist::Media(media)) => Ok((url, media)),
        (_, Playlist::Master(_)) => Err(no_answer(
            "a master playlist inside a master playlist".to_owned(),
        )),
    }
}

/// What can be said of one state of a playlist alone.
fn judge(media: &Media) -> Result<(), Verdict> {
    if media.ended {
        return Err(Verdict::new(Look::Absent, "the playlist has ended"));
    }
    if !media.has_segments() {
        return Err(Verdict::new(Look::Absent, "the playlist is empty"));
    }
    Ok(())
}

/// One playlist, and where it came from after redirects.
async fn fetch(http: &Http, run: &mut Run, url: Url) -> Result<(Url, Playlist), Verdict> {
    let mut answer = http.get(run, url).await?;
    let mut body = Vec::new();
    let no_answer = |words: String| Verdict::new(Look::NoAnswer, words);
    loop {
        match answer.piece(run).await {
            Piece::Bytes(bytes) => body.extend_from_slice(&bytes),
            Piece::End => break,
            Piece::Late => return Err(no_answer("the playlist was not complete in time".into())),
            Piece::Spent => return Err(Verdict::spent()),
            Piece::Broken(words) => {
                return Err(no_answer(format!("the playlist broke off: {words}")));
            }
        }
    }
    let playlist = parse(&body).map_err(|bad| no_answer(bad.to_string()))?;
    Ok((answer.url().clone(), playlist))
}
