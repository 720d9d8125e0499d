use super::*;

fn response(headers: &[(&str, &str)]) -> HttpResponse {
    HttpResponse {
        status: 503,
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: Vec::new(),
    }
}

#[test]
fn http_dates_read_back() {
    let at = UnixMs::from_seconds(784_111_777);
    let text = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(http_date(at).as_deref(), Some(text));
    assert_eq!(parse_http_date(text), Some(at));
    for text in ["", "yesterday", "1994-11-06T08:49:37Z", "\0"] {
        assert_eq!(parse_http_date(text), None, "{text:?}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_and_never_long() {
    let now = UnixMs::from_seconds(784_111_777);
    let wait = |headers: &[(&str, &str)]| response(headers).retry_after(now);
    let soon = "Sun, 06 Nov 1994 08:50:37 GMT";
    assert_eq!(wait(&[]), None);
    assert_eq!(
        wait(&[("Retry-After", " 7 ")]),
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        wait(&[("retry-after", soon)]),
        Some(Duration::from_secs(60))
    );
    let theirs = [
        ("date", "Sun, 06 Nov 1994 08:50:30 GMT"),
        ("retry-after", soon),
    ];
    assert_eq!(wait(&theirs), Some(Duration::from_secs(7)));
    let past = "Sun, 06 Nov 1994 08:00:00 GMT";
    assert_eq!(wait(&[("retry-after", past)]), Some(Duration::ZERO));
    for long in ["99999999", "99999999999999999999999"] {
        assert_eq!(wait(&[("retry-after", long)]), Some(LONGEST_WAIT));
    }
    for nonsense in ["", "-1", "soon", "1.5"] {
        assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
    }
}
