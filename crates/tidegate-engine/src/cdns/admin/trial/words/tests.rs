use tidegate_cdn::{ClientOptions, HttpClient};
use tidegate_core::Secret;
use tidegate_ledger::cdns::{AccountKey, CdnAccount};

use super::*;

const NOW: UnixMs = UnixMs(1_777_000_000_000);

fn account(vendor: tidegate_ledger::Vendor) -> AccountEntry {
    let huawei = |text: &str| (vendor == tidegate_ledger::Vendor::Huawei).then(|| text.to_owned());
    let row = CdnAccount {
        id: 1,
        name: "main".into(),
        vendor,
        key: AccountKey {
            access_key_id: "AKID0001".into(),
            secret: Secret::new("hunter2".into()),
            security_token: None,
        },
        scheme: None,
        region: huawei("cn-north-4"),
        project_id: huawei("0123abcd"),
        endpoint: Some("https://api.example.com".into()),
        strict: true,
        epoch: 0,
        created: NOW,
        rotated: None,
    };
    let client = HttpClient::new(ClientOptions::default()).expect("a client");
    AccountEntry::new(row, &client).expect("an account")
}

fn failure(class: ErrorClass, code: &str, words: &str, status: Option<u16>) -> Failure {
    Failure {
        vendor: Vendor::Aliyun,
        class,
        code: code.into(),
        words: words.into(),
        request_id: None,
        status,
        date: None,
    }
}

fn judged(failure: &Failure, made_up: bool) -> (Option<Problem>, String) {
    let account = account(tidegate_ledger::Vendor::Aliyun);
    Asked::new(&account, "push.example.com", made_up).failed(failure, NOW)
}

#[tokio::test]
async fn each_failure_has_its_problem_and_says_what_to_do() {
    use ErrorClass::{Permanent, QuotaSpent, Retry, Throttled, Unknown};
    let retry = Retry { after: None };
    for (class, code, words, status, problem, part) in [
        (
            Permanent(Refusal::Credentials),
            "InvalidAccessKeyId.NotFound",
            "not found",
            Some(404),
            Problem::Key,
            "does not know the key id AKID0001",
        ),
        (
            Permanent(Refusal::Credentials),
            "SignatureDoesNotMatch",
            "",
            Some(400),
            Problem::Signature,
            "the secret is not that key's",
        ),
        (
            Permanent(Refusal::Credentials),
            "InvalidSecurityToken.Expired",
            "",
            Some(400),
            Problem::Key,
            "security token of key AKID0001",
        ),
        (
            Permanent(Refusal::Permission),
            "Forbidden",
            "no",
            Some(401),
            Problem::Permission,
            "the key is right, but may not",
        ),
        (
            Permanent(Refusal::Domain),
            "InvalidDomain.NotFound",
            "",
            Some(404),
            Problem::Domain,
            "does not know push.example.com",
        ),
        (
            Permanent(Refusal::Account),
            "InvalidIdentity",
            "",
            Some(400),
            Problem::Account,
            "has not enabled the live service",
        ),
        (
            Permanent(Refusal::Parameter),
            "",
            "HTTP 400",
            Some(400),
            Problem::NotTheApi,
            "what answers at https://api.example.com is not",
        ),
        (
            Permanent(Refusal::Other),
            "InvalidAction.NotFound",
            "",
            Some(404),
            Problem::NotTheApi,
            "is not Alibaba Cloud's live API",
        ),
        (
            Permanent(Refusal::Other),
            "Strange",
            "go away",
            Some(400),
            Problem::Refused,
            "(Strange: go away)",
        ),
        (
            Throttled { after: None },
            "Throttling",
            "",
            Some(400),
            Problem::Busy,
            "try again in a minute",
        ),
        (
            QuotaSpent(Quota::Capacity),
            "QuotaExceeded.Blacklist",
            "",
            Some(400),
            Problem::Busy,
            "a limit of its plan",
        ),
        (
            QuotaSpent(Quota::Calls),
            "Quota",
            "",
            Some(400),
            Problem::Busy,
            "used up",
        ),
        (
            retry,
            "",
            "connection refused",
            None,
            Problem::NotReached,
            "was not reached",
        ),
        (
            retry,
            "InternalError",
            "",
            Some(503),
            Problem::Trouble,
            "try again",
        ),
        (
            Unknown,
            "",
            "no answer in time",
            None,
            Problem::NoAnswer,
            "did not answer properly",
        ),
        (
            Unknown,
            "",
            "HTTP 200 with a page",
            Some(200),
            Problem::NotTheApi,
            "is not Alibaba Cloud's live API",
        ),
    ] {
        let failure = failure(class, code, words, status);
        let (found, told) = judged(&failure, false);
        assert_eq!(found, Some(problem), "{told}");
        assert!(told.contains(part), "{told}");
        assert!(told.contains(code) && told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_with_both_times_and_the_difference() {
    let mut refused = failure(
        ErrorClass::Permanent(Refusal::Clock),
        "InvalidTimeStamp.Expired",
        "",
        Some(400),
    );
    for (ahead, part) in [
        (
            3_725_000,
            "this one is 1 h 2 min behind it, and 15 min are allowed",
        ),
        (-960_000, "this one is 16 min ahead of it"),
        (-86_400_000 * 3, "this one is 3 days ahead of it"),
        (1000, "both say 2026-04-24T03:06:40Z"),
    ] {
        let date = UnixMs(NOW.0 + ahead);
        refused.date = Some(date);
        let (problem, told) = judged(&refused, true);
        assert_eq!(problem, Some(Problem::Clock));
        assert!(told.contains(part), "{told}");
        assert!(told.contains(&NOW.to_string()), "{told}");
    }
    refused.date = None;
    let (_, told) = judged(&refused, true);
    assert!(told.contains("allows 15 min"), "{told}");
}

#[tokio::test]
async fn a_question_about_nothing_proves_the_key_by_the_refusal_of_its_domain() {
    let domain = ErrorClass::Permanent(Refusal::Domain);
    let known = failure(domain, "InvalidDomain.NotFound", "", Some(404));
    let (problem, told) = judged(&known, true);
    assert_eq!(problem, None);
    assert!(
        told.contains("takes the key (asked about a made-up domain"),
        "{told}"
    );
    let foreign = failure(
        ErrorClass::Permanent(Refusal::Parameter),
        "",
        "HTTP 400",
        Some(400),
    );
    assert_eq!(judged(&foreign, true).0, Some(Problem::NotTheApi));
    let other = failure(
        ErrorClass::Permanent(Refusal::Other),
        "Strange",
        "",
        Some(400),
    );
    assert_eq!(judged(&other, true).0, Some(Problem::Refused));
    let key = failure(
        ErrorClass::Permanent(Refusal::Credentials),
        "InvalidAccessKeyId",
        "",
        Some(404),
    );
    assert_eq!(judged(&key, true).0, Some(Problem::Key));
}

#[tokio::test]
async fn an_answer_with_another_time_warns_before_the_vendor_refuses() {
    let account = account(tidegate_ledger::Vendor::Huawei);
    let asked = Asked::new(&account, "push.example.com", false);
    let told = asked.accepted(Some(UnixMs(NOW.0 + 1000)), NOW, "no ban stands there");
    assert_eq!(told, "Huawei Cloud takes the key; no ban stands there");
    let told = asked.accepted(Some(UnixMs(NOW.0 - 200_000)), NOW, "x");
    assert!(
        told.ends_with(
            "this machine's clock is 3 min 20 s ahead of the vendor's, which allows 15 min"
        ),
        "{told}"
    );
}
