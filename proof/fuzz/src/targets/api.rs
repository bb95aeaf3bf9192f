//! Bodies and addresses of the server-side API.

use tidings_api::hostile;

use crate::target::{Answer, Target};

pub(super) const API_BODY: Target = Target {
    name: "api_body",
    run: body,
    seeds: body_seeds,
    bytes_max: 66_000,
    memory_max: None,
};

pub(super) const API_ADDRESS: Target = Target {
    name: "api_address",
    run: address,
    seeds: address_seeds,
    bytes_max: 8_192,
    memory_max: None,
};

fn body(input: &[u8]) -> Answer {
    Answer::of(hostile::body(input))
}

fn body_seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"destination":"a","payload":"b","enable_offline_messaging":true}"#,
        r#"{"channel_name":"a","payload":"b","enable_historical_messaging":false}"#,
        r#"{"filter":{"source":"a","start_time":"2020-01-01T00:00:00Z","end_time":"2021-01-01T00:00:00Z"},"limit":20}"#,
        r#"{"channel":"a","from":"b","payload":"\u00e9","store":true}"#,
        r#"{"users":["a","b"],"from":"c","payload_base64":"AAEC","type":"raw","wait":true}"#,
        r#"{"messages":[{"channel":"a","from":"b","payload":"c"}]}"#,
        r#"{"user_ids":["a","b"]}"#,
        r#"{"reason":"r","ban_seconds":60}"#,
        r#"{"attributes":{"k":"v"},"from":"a","notify":true}"#,
        r#"{"from":"a","to":"b","content":"c","channel":"d"}"#,
        "[[[[[[[[[[[[[[[[",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn address(input: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(input);
    Answer::of(hostile::address(&text))
}

fn address_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "/api/v1/apps/a/events?after=5&limit=10&wait=30",
        "/dev/v2/project/a/rtm/message/history/count?source=%22a%22&start_time=2020-01-01T00:00:00.5%2B02:00",
        "/a?user=a+b&channel=%e2%82%ac&start=1&start=2",
        "/a?%ff=%&&=",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
