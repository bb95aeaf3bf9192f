//! Which targets are called: addresses behind names, TLS, and names that nobody answers for.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::target::Target;
use support::{World, subscription, until, until_true};
use tidings_webhooks::{Field, RefusalKind, Rules, Webhooks};

const APP: &str = "00000000000000000000000000000001";

async fn first_error(webhooks: &Webhooks) -> String {
    let failing = until("a failure", || webhooks.list(APP)[0].status.failing.clone());
    failing.await.error
}

#[tokio::test]
async fn names_of_private_addresses_are_not_called() {
    for addresses in [
        &["127.0.0.1"][..],
        &["10.0.0.1", "169.254.169.254"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["fd00:ec2::254"],
    ] {
        let mut world = World::new();
        world.settings.rules = Rules {
            plain_http: true,
            ..Rules::default()
        };
        let target = Target::start().await;
        world.resolver.set("hook.example.com", addresses);
        let webhooks = world.start().await;
        let url = format!("http://hook.example.com:{}/", target.address.port());
        webhooks
            .create(APP, subscription(&url, &["*"]))
            .await
            .expect("a webhook");
        world.happen(APP, "user.login", &["a"]);
        let error = first_error(&webhooks).await;
        assert!(error.contains("the target has the address"), "{error}");
        assert!(error.contains("webhooks_private_targets"), "{error}");
        assert_eq!(target.connections(), 0);
        webhooks.close().await;
    }
}

#[tokio::test]
async fn literal_private_addresses_are_refused_at_once() {
    let mut world = World::new();
    world.settings.rules = Rules {
        plain_http: true,
        ..Rules::default()
    };
    let webhooks = world.start().await;
    for url in [
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "https://169.254.169.254/",
    ] {
        let refused = webhooks.create(APP, subscription(url, &["*"])).await;
        assert_eq!(refused.expect_err(url).kind, RefusalKind::Field(Field::Url));
    }
    webhooks.close().await;
}

#[tokio::test]
async fn of_several_addresses_the_allowed_ones_are_called() {
    let world = World::new();
    let target = Target::start().await;
    world
        .resolver
        .set("hook.example.com", &["10.0.0.1", "127.0.0.1", "127.0.0.1"]);
    let webhooks = world.start().await;
    let url = format!("http://hook.example.com:{}/", target.address.port());
    webhooks
        .create(APP, subscription(&url, &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a"]);
    let received = target.takes(1).await;
    let host = format!("hook.example.com:{}", target.address.port());
    assert_eq!(received[0].header("host"), Some(host.as_str()));
    assert_eq!(
        world.resolver.asked.load(Ordering::SeqCst),
        1,
        "resolved once, and called there"
    );
    webhooks.close().await;
}

#[tokio::test]
async fn public_targets_need_tls_unless_the_operator_says_otherwise() {
    let mut world = World::new();
    world.settings.rules = Rules::default();
    let webhooks = world.start().await;
    let refused = webhooks
        .create(APP, subscription("http://hook.example.com/", &["*"]))
        .await;
    let refused = refused.expect_err("plain");
    assert!(refused.detail.contains("without TLS"), "{}", refused.detail);
    assert!(refused.hint.contains("webhooks_http"));
    webhooks.close().await;
}

#[tokio::test]
async fn a_name_that_nobody_answers_for_costs_its_own_app_only() {
    let other = "00000000000000000000000000000002";
    let world = World::new();
    let target = Target::start().await;
    let port = target.address.port();
    world.resolver.set("good.example.com", &["127.0.0.1"]);
    let webhooks = world.start().await;
    for _ in 0..5 {
        let url = "https://silent.example.com/";
        webhooks
            .create(APP, subscription(url, &["*"]))
            .await
            .expect("a webhook");
    }
    world.happen(APP, "user.login", &["a"]);
    let error = first_error(&webhooks).await;
    assert!(error.contains("not found by the resolver"), "{error}");
    until_true("all have failed", || {
        webhooks
            .list(APP)
            .iter()
            .all(|webhook| webhook.status.failing.is_some())
    })
    .await;
    assert_eq!(
        world.resolver.asked.load(Ordering::SeqCst),
        2,
        "two names at once"
    );
    let url = format!("http://good.example.com:{port}/");
    webhooks
        .create(other, subscription(&url, &["*"]))
        .await
        .expect("a webhook");
    world.happen(other, "user.login", &["b"]);
    target.takes(1).await;
    webhooks.close().await;
}

#[tokio::test]
async fn certificates_are_checked() {
    let good = rcgen::generate_simple_self_signed(vec!["hook.example.com".to_owned()]);
    let good = good.expect("a certificate");
    let key = PrivateKeyDer::try_from(good.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![good.cert.der().clone()], key)
        .expect("a pair");
    let target = Target::with_tls(config).await;
    let port = target.address.port();
    let trusted: CertificateDer<'static> = good.cert.der().clone();
    for (host, roots, expected) in [
        ("hook.example.com", vec![], Err("UnknownIssuer")),
        (
            "other.example.com",
            vec![trusted.clone()],
            Err("not valid for name"),
        ),
        ("hook.example.com", vec![trusted.clone()], Ok(())),
    ] {
        let mut world = World::new();
        world.settings.roots = roots;
        world.resolver.set(host, &["127.0.0.1"]);
        let webhooks = world.start().await;
        let url = format!("https://{host}:{port}/");
        webhooks
            .create(APP, subscription(&url, &["*"]))
            .await
            .expect("a webhook");
        world.happen(APP, "user.login", &["a"]);
        match expected {
            Ok(()) => {
                target.takes(1).await;
                assert_eq!(target.users(), ["a"]);
            }
            Err(part) => {
                let error = first_error(&webhooks).await;
                assert!(error.contains("TLS") && error.contains(part), "{error}");
                assert!(target.received().is_empty());
            }
        }
        webhooks.close().await;
    }
}

#[tokio::test]
async fn a_target_without_tls_behind_https_is_told() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let url = format!("https://127.0.0.1:{}/", target.address.port());
    webhooks
        .create(APP, subscription(&url, &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a"]);
    let error = first_error(&webhooks).await;
    assert!(
        error.contains("TLS") || error.contains("no answer in time"),
        "{error}"
    );
    assert!(target.received().is_empty());
    webhooks.close().await;
}
