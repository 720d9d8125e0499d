use super::*;

fn spec(vendor: Vendor) -> AccountSpec {
    AccountSpec {
        name: "main".into(),
        vendor,
        access_key_id: "AKID0001".into(),
        secret: Secret::new("hunter2-hunter2".into()),
        security_token: None,
        scheme: None,
        region: (vendor == Vendor::Huawei).then(|| "cn-north-4".into()),
        project_id: (vendor == Vendor::Huawei).then(|| "0123abcd".into()),
        endpoint: None,
        matching: Matching::NameOnly,
    }
}

#[test]
fn each_vendor_has_its_host_and_its_current_scheme() {
    for (vendor, host, scheme) in [
        (Vendor::Ws, "open.chinanetcenter.com", AuthScheme::Cnc),
        (Vendor::Aliyun, "live.aliyuncs.com", AuthScheme::Acs3),
        (Vendor::Tencent, "live.tencentcloudapi.com", AuthScheme::Tc3),
        (
            Vendor::Huawei,
            "live.cn-north-4.myhuaweicloud.com",
            AuthScheme::SdkHmac,
        ),
    ] {
        let account = Account::new(spec(vendor)).unwrap();
        assert_eq!(account.endpoint().to_string(), format!("https://{host}"));
        assert_eq!(account.scheme(), scheme);
    }
}

#[test]
fn nothing_printed_holds_a_secret() {
    let mut given = spec(Vendor::Tencent);
    given.security_token = Some(Secret::new("token-hunter3".into()));
    assert!(!format!("{given:?}").contains("hunter"));
    let account = Account::new(given).unwrap();
    assert!(!format!("{account:?}").contains("hunter"));
    let mut bad = spec(Vendor::Tencent);
    bad.secret = Secret::new("hunter2 \n".into());
    let error = Account::new(bad).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter"));
}

#[test]
fn what_a_vendor_lacks_or_needs_is_said() {
    let refused = |change: &dyn Fn(&mut AccountSpec), vendor| {
        let mut spec = spec(vendor);
        change(&mut spec);
        Account::new(spec).unwrap_err().to_string()
    };
    let words = refused(&|s| s.project_id = None, Vendor::Huawei);
    assert!(words.contains("needs a project id"), "{words}");
    let words = refused(&|s| s.region = None, Vendor::Huawei);
    assert!(words.contains("needs a region"), "{words}");
    let words = refused(&|s| s.region = Some("cn".into()), Vendor::Ws);
    assert!(words.contains("has no region"), "{words}");
    let words = refused(&|s| s.scheme = Some(AuthScheme::Tc3), Vendor::Aliyun);
    assert!(words.contains("acs3-hmac-sha256 or rpc-v1"), "{words}");
    let words = refused(&|s| s.region = Some("a.b/".into()), Vendor::Aliyun);
    assert!(words.contains("is not a region"), "{words}");
    let words = refused(&|s| s.access_key_id = "a\r\nx: y".into(), Vendor::Aliyun);
    assert!(words.contains("is not an access key id"), "{words}");
    let words = refused(
        &|s| s.endpoint = Some("http://x.com".into()),
        Vendor::Aliyun,
    );
    assert!(words.contains("in the clear"), "{words}");
}
