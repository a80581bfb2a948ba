//! The published vectors through the door, the forms of all answers, and who may ask.

use super::*;
use credential::id2::HashType;
use hub::account::NewAccessKey;
use model::id::{PolicyName, UserName};

/// 2017-11-30T06:11:19.204Z, the time of the vectors.
const THEN: i64 = 1_512_022_279_204;

impl Bench {
    /// A device whose key is published.
    async fn published(&self, id: &str, kind: KeyType, key: &str) -> Device {
        let id = Id::parse(id.as_bytes()).expect("an identity");
        let bytes = hex::decode(key).expect("hex");
        let import = Import {
            id,
            kind,
            material: Secret::new(bytes.clone()),
        };
        let hub = &self.stage.hub;
        hub.id2_import(&self.permit, &self.product, &[import])
            .await
            .expect("it is brought in");
        let key = SoftKey::new(kind, &bytes).expect("it fits");
        Device {
            id,
            key: Box::new(key),
        }
    }
}

/// [ID-1] [ID-2] [ID-4] `spec/id2.md` section 9, V1 to V6, through the door at the time of their timestamps: what
/// the vendor's client wrote is believed, and the server writes what that client reads.
#[tokio::test]
async fn the_vectors_are_those_of_the_door() {
    let bench = Bench::set().await;
    bench.stage.clock.move_by(THEN - START);
    let at = "2017-11-30T06:11:19Z";
    let base64 = |hex: &str| STANDARD.encode(hex::decode(hex).expect("hex"));
    let v1 = "2122232425262728292a2b2c2d2e2f30";
    let begin = ["1~2~", "3~2~"].map(|mode| format!("{mode}67452301EFCDAB89~1512022279204~"));
    bench.published(ID, KeyType::Aes128, v1).await;
    for (sig, extra, server_extra, told) in [
        (
            "EeIpjrUSV2neA4GCoXWKRliDOyWJbPlr7ZlX+ZEmlPCXnA1nt3r97vPi1Bnh6fF1",
            None,
            None,
            "10~2~67452301EFCDAB89~UXzFHtUqvwHIpaDXg/9i5EVaLXHK0wwfoW7YageoYkOXnA1nt3r97vPi1Bnh6fF1",
        ),
        (
            "mJ/HXU7nCmJsKjOqo/CxLo3I8HGL0OqiANx6GnZZ9DSXnA1nt3r97vPi1Bnh6fF1",
            Some("abcd1234"),
            Some("srvextra"),
            "11~2~67452301EFCDAB89~8jgY94HHC+tNE1+LHNpyB5VW6LoA4PQOZVqDc35unOuXnA1nt3r97vPi1Bnh6fF1",
        ),
    ] {
        let code = format!("{}{sig}", begin[usize::from(extra.is_some())]);
        let mut params = vec![
            ("Id2", ID),
            ("ProductKey", bench.product.as_str()),
            ("DeviceAuthCode", code.as_str()),
            ("DeviceChallenge", "67452301EFCDAB89"),
            ("Data", "hello id2"),
        ];
        params.extend(extra.map(|extra| ("DeviceExtra", extra)));
        params.extend(server_extra.map(|extra| ("ServerExtra", extra)));
        let tree = call_at(&bench, at, "GetServerAuthCodeAndEncryptData", &params).await;
        assert_eq!(tree["Data"]["ServerAuthCode"], told, "{tree}");
        let closed = base64("49d2c68ba42a0cd40d1834f02978cc44");
        assert_eq!(tree["Data"]["EncryptData"], closed, "{tree}");
    }
    // What the client wrote, where a timestamp is published; else what the SDK writes.
    for (id, kind, key, sig, hello) in [
        (
            "000FFFFFDB1D8DC78DDCB800",
            KeyType::Aes192,
            "e4cac8c54ab2d7f07939466b332736990598a452ffe33a97",
            Some("SjnIuVqsceH6hWX8lM0u1X6Dvt8l7AtTNJSdf1Adl9AqPlyoRTxaq/utxfegaUZ8"),
            "141cf4653eed9bf1bd42702eb8ce1de4",
        ),
        (
            "2122232425262728292A2B2D",
            KeyType::Aes256,
            "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
            None,
            "dedf51ee1bde0315793d1a9ab1784250",
        ),
        (
            "0102030405060708090A0B0C",
            KeyType::TripleDes112,
            "0102030405060708090a0b0c0d0e0f10",
            Some("qyAxiuWb0KzbjceNI0MrQXH2Zip8ns27c8I3aaEsTl0GEBk3fGv9ig=="),
            "d75cc472bc4d639c0da490dcc3c83c0a",
        ),
        (
            "0102030405060708090A0B0D",
            KeyType::TripleDes168,
            "0102030405060708090a0b0c0d0e0f101112131415161718",
            None,
            "69fa9a963f5ee89516aa57176e85be73",
        ),
        (
            "2122232425262728292A2B2E",
            KeyType::Sm4,
            v1,
            None,
            "0b7f9d7b510b15214261501f5596f590",
        ),
    ] {
        let device = bench.published(id, kind, key).await;
        let now = THEN.to_string();
        let own = Fresh::Timestamp(&now);
        let code = match sig {
            Some(sig) => format!("{}{sig}", begin[1]),
            None => bench.code(&device, Form::Plain, own, Some("abcd1234")),
        };
        let mut params = bench.verify(&device.id, &code).to_vec();
        params.extend([("Extra", "abcd1234"), ("Data", "hello id2")]);
        let tree = call_at(&bench, at, "VerifyAndEncrypt", &params).await;
        assert_eq!(tree["Data"], base64(hello), "{kind:?} {tree}");
    }
}

/// [000 1.1.8] [ID-1] A device that hashes as old ones did is believed where its product takes that.
#[tokio::test]
async fn old_hashes_are_taken_where_a_product_says_so() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Rsa1024).await;
    let codes = [(0, HashType::Md5), (1, HashType::Sha1)].map(|(digit, hash)| {
        let now = START.to_string();
        let random = format!("1245DC626946A9E{digit}");
        let parts = [ID.as_bytes(), random.as_bytes(), now.as_bytes()];
        let digest = hash.hash().of(&parts);
        let mut out = [0; 128];
        let signed = device.key.sign(hash, digest.as_bytes(), &mut out);
        signed.expect("it signs");
        format!("1~{digit}~{random}~{now}~{}", STANDARD.encode(out))
    });
    for (legacy, told) in [(false, 21), (true, 200)] {
        bench
            .change(Change {
                legacy: Some(legacy),
                ..Change::default()
            })
            .await;
        for code in &codes {
            assert_eq!(bench.verdict(&device.id, code).await, told);
        }
    }
}

/// [000 1.1.8] [ID-9] Identities of a product that gives them for days are over after those.
#[tokio::test]
async fn identities_last_for_the_days_of_their_product() {
    let bench = Bench::set().await;
    let change = Change {
        otp: Some(true),
        days: Some(Some(2)),
        ..Change::default()
    };
    bench.change(change).await;
    let hub = &bench.stage.hub;
    let token = hub.id2_token(&bench.permit, &bench.product, false).await;
    let (_, session, code) = ask(&token.expect("a token"), 1, b"one");
    let data = bench.ok("OtpGetId2", &[("DeviceAuthCode", &code)]).await;
    let data = STANDARD.decode(text(&data["ProvisionData"]));
    let loaded = otp::load(KeyType::Aes128, &session, &data.expect("base64"));
    let (id, key) = loaded.expect("it is for this device");
    let device = Device {
        id,
        key: Box::new(key),
    };
    for (hours, at, told) in [
        (47, "2021-02-24T07:00:00Z", 200),
        (1, "2021-02-24T08:00:00Z", 50),
    ] {
        bench.stage.clock.move_by(hours * 3_600_000);
        let now = hub.now().0.to_string();
        let code = bench.code(&device, Form::Plain, Fresh::Timestamp(&now), None);
        let tree = call_at(&bench, at, "Verify", &bench.verify(&id, &code)).await;
        assert_eq!(tree["Code"], told, "{tree}");
    }
}

/// [000 1.1.8] [ID-5] A request in the text form of the document's sample is the request inside it; one whose
/// words tell of another token than it was made with is none.
#[tokio::test]
async fn the_sample_of_the_document_has_the_form_of_a_request() {
    let bench = Bench::set().await;
    let token = bench.with_otp().await;
    let (parsed, session, code) = ask(&token, 1, b"one");
    let whose = hex::encode_upper(&parsed.provision_id()[..16]);
    let text_form = |whose: &str| format!("0~0~1245DC626946A9E5~{whose}~{code}");
    let other = text_form(&whose.replace(&whose[..1], "?"));
    let params = [("DeviceAuthCode", other.as_str())];
    assert_eq!(bench.refused("OtpGetId2", &params).await, 21);
    let written = text_form(&whose);
    let data = bench.ok("OtpGetId2", &[("DeviceAuthCode", &written)]).await;
    let blob = STANDARD.decode(text(&data["ProvisionData"]));
    let loaded = otp::load(KeyType::Aes128, &session, &blob.expect("base64"));
    assert!(loaded.is_ok());
    // The same words in the other form are the same request.
    assert_eq!(
        bench.ok("OtpGetId2", &[("DeviceAuthCode", &code)]).await,
        data
    );
}

/// The parameters of a call of each action that goes through.
fn calls(bench: &Bench, device: &Device, token: &str, nth: u8) -> [Vec<(String, String)>; 5] {
    let own = |params: &[(&str, &str)]| -> Vec<(String, String)> {
        let all = params.iter().chain(&[("ApiVersion", "1.1.2")]);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let (id, product) = (device.id.as_str(), bench.product.as_str());
    let print = [nth, b'p'];
    let (_, _, asked) = ask(token, nth, &print);
    let [one, two, three] = [(); 3].map(|()| bench.stamped(device));
    let common = [("Id2", id), ("ProductKey", product)];
    [
        own(&[&common[..], &[("AuthCode", &one)]].concat()),
        own(&[&common[..], &[("AuthCode", &two), ("Data", "abcd")]].concat()),
        own(&[("Id2", id)]),
        own(&[
            &common[..],
            &[
                ("DeviceAuthCode", &three),
                ("DeviceChallenge", "ABCD12348"),
                ("Data", "abcd"),
            ],
        ]
        .concat()),
        own(&[("DeviceAuthCode", &asked)]),
    ]
}

const ACTIONS: [&str; 5] = [
    "Verify",
    "VerifyAndEncrypt",
    "GetServerRandom",
    "GetServerAuthCodeAndEncryptData",
    "OtpGetId2",
];

impl Bench {
    async fn with_otp(&self) -> String {
        self.change(Change {
            otp: Some(true),
            ..Change::default()
        })
        .await;
        let hub = &self.stage.hub;
        let token = hub.id2_token(&self.permit, &self.product, false).await;
        token.expect("a token")
    }

    async fn answer(
        &self,
        key: &NewAccessKey,
        action: &str,
        format: &str,
        params: &[(String, String)],
    ) -> (u16, String) {
        let params: Vec<_> = params
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let mut pairs = self.stage.signed(key, action, &params);
        pairs.retain(|(name, _)| name != "Signature");
        for (name, value) in &mut pairs {
            if name == "Format" {
                *value = format.to_owned();
            }
        }
        let secret = Secret::new(key.secret.as_bytes().to_vec());
        let signature = credential::request::rpc::sign(&secret, "GET", &pairs);
        pairs.push(("Signature".into(), signature));
        let uri = format!("/?{}", query::canonical(&pairs));
        let request = Request::get(uri).body(Body::empty()).expect("it is good");
        text_of(self.stage.send(request).await).await
    }
}

/// [000 1.1.8] [ID-8] Each action answers in the three forms that the document prints: XML, JSON with numbers
/// and truth values (its tables), JSON with strings (its examples).
#[tokio::test]
async fn each_action_answers_in_each_form() {
    let mut bench = Bench::set().await;
    let token = bench.with_otp().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    // Each between its tags, in the order of the document's examples.
    let xml = calls(&bench, &device, &token, 1);
    for (action, params) in ACTIONS.into_iter().zip(&xml) {
        let key = &bench.stage.key;
        let (status, body) = bench.answer(key, action, "XML", params).await;
        assert_eq!(status, 200, "{body}");
        let inner = body.split_once(&format!("<{action}Response>"));
        let (head, inner) = inner.unwrap_or_else(|| panic!("{body}"));
        assert!(head.is_empty() || head.starts_with("<?xml"), "{body}");
        assert!(body.trim_end().ends_with(&format!("</{action}Response>")));
        for part in ["<Code>200</Code>", "<Success>true</Success>", "<RequestId>"] {
            assert!(inner.contains(part), "{body}");
        }
        let data = inner.split_once("<Data>").expect("data").1;
        let data = data.split_once("</Data>").expect("data").0;
        let named = |name: &str| {
            let (_, rest) = data.split_once(&format!("<{name}>")).expect("a field");
            rest.split_once(&format!("</{name}>")).expect("a field").0
        };
        match action {
            "Verify" => assert_eq!(data, "true"),
            "VerifyAndEncrypt" => assert_eq!(STANDARD.decode(data).expect("base64").len(), 16),
            "GetServerRandom" => assert_eq!(data.len(), 32),
            "OtpGetId2" => {
                assert_eq!(named("Remaining"), "99");
                let blob = STANDARD.decode(named("ProvisionData"));
                assert_eq!(blob.expect("base64").len(), 89);
            }
            _ => {
                let closed = STANDARD.decode(named("EncryptData"));
                assert_eq!(closed.expect("base64").len(), 16);
                assert!(named("ServerAuthCode").starts_with("10~2~ABCD12348~"));
            }
        }
    }
    for (nth, scalars) in [(2, Scalars::Native), (3, Scalars::Text)] {
        bench.stage.door = routes_with(bench.stage.hub.clone(), scalars);
        let all = calls(&bench, &device, &token, nth);
        for (action, params) in ACTIONS.into_iter().zip(&all) {
            let key = &bench.stage.key;
            let (status, body) = bench.answer(key, action, "JSON", params).await;
            let tree: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(status, 200, "{tree}");
            let as_told = |value: Value| match (scalars, value) {
                (Scalars::Text, Value::Number(number)) => json!(number.to_string()),
                (Scalars::Text, Value::Bool(yes)) => json!(yes.to_string()),
                (_, value) => value,
            };
            assert_eq!(tree["Code"], as_told(json!(200)), "{tree}");
            assert_eq!(tree["Success"], as_told(json!(true)), "{tree}");
            assert!(tree["RequestId"].is_string(), "{tree}");
            match action {
                "Verify" => assert_eq!(tree["Data"], as_told(json!(true)), "{tree}"),
                "OtpGetId2" => {
                    let left = as_told(json!(100 - i64::from(nth)));
                    assert_eq!(tree["Data"]["Remaining"], left, "{tree}");
                    assert!(tree["Data"]["ProvisionData"].is_string(), "{tree}");
                }
                "GetServerAuthCodeAndEncryptData" => {
                    assert!(tree["Data"]["EncryptData"].is_string(), "{tree}");
                    assert!(tree["Data"]["ServerAuthCode"].is_string(), "{tree}");
                }
                _ => assert!(tree["Data"].is_string(), "{tree}"),
            }
        }
    }
}

/// [FS-8] [ID-1] [ID-5] The five actions are behind the access model: a sub-user may do what its policies say
/// and hears 403 of the rest; what changes something, and who was refused, is in the audit log.
#[tokio::test]
async fn policies_and_the_audit_log_hold_for_identities() {
    let bench = Bench::set().await;
    let token = bench.with_otp().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let hub = &bench.stage.hub;
    let checker = json!({
        "Version": "1",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["id2:Verify", "id2:GetServerRandom"],
            "Resource": "*",
        }],
    });
    let own = PolicyName::parse("checker").expect("it is good");
    let document = serde_json::from_value(checker).expect("a policy");
    let put = hub.policy_put(&bench.permit, &own, "", document);
    put.await.expect("new");
    for (nth, policy, may) in [
        (1, "checker", &["Verify", "GetServerRandom"][..]),
        (2, "AliyunID2FullAccess", &ACTIONS),
        (3, "AliyunIOTFullAccess", &[]),
    ] {
        let user = UserName::parse(&policy.to_lowercase()).expect("it is good");
        let made = hub.user_create(&bench.permit, &user, "");
        made.await.expect("new");
        let policy = PolicyName::parse(policy).expect("it is good");
        let given = hub.user_policy(&bench.permit, &user, &policy, true);
        given.await.expect("both are there");
        let key = hub.access_key_create(&bench.permit, Some(&user)).await;
        let key = key.expect("new");
        let all = calls(&bench, &device, &token, nth);
        for (action, params) in ACTIONS.into_iter().zip(&all) {
            let (status, body) = bench.answer(&key, action, "JSON", params).await;
            let tree: Value = serde_json::from_str(&body).expect("JSON");
            match may.contains(&action) {
                true => assert_eq!((status, &tree["Code"]), (200, &json!(200)), "{tree}"),
                false => {
                    let refused = json!("Forbidden.RAM");
                    assert_eq!((status, &tree["Code"]), (403, &refused), "{tree}");
                }
            }
        }
    }
    let lines = hub.audit_page(&bench.permit, 0, 1_000).await;
    let lines = lines.expect("the log");
    let noted = |who: &str, action: &str| {
        let mut lines = lines.iter().map(|line| &line.entry);
        let line = lines.find(|line| line.who.ends_with(who) && line.action == action);
        line.map(|line| line.outcome.clone())
    };
    let full = "/aliyunid2fullaccess";
    assert_eq!(noted(full, "id2:OtpGetId2").as_deref(), Some("ok"));
    for action in ["id2:OtpGetId2", "id2:VerifyAndEncrypt"] {
        let outcome = noted("/checker", action).expect("it is in the log");
        assert_ne!(outcome, "ok");
    }
}
