//! Files over HTTP: what is stored comes back, and what is wrong is told.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};

use common::{APP, Answer, TestServer, config, connect_tcp, until};
use tempfile::TempDir;
use tidings_server::{
    App, AppId, Apps, DiskReserve, MediaFiles, Origins, Quotas, ServerConfig, StoreConfig, UserId,
};

const OTHER_APP: &str = "ffffffffffffffffffffffffffffffff";
const CLOSED_APP: &str = "cccccccccccccccccccccccccccccccc";

/// A server with a directory; `change` adjusts its configuration.
struct Place {
    server: TestServer,
    directory: TempDir,
}

impl Place {
    fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut config = config();
        config.store = StoreConfig::Directory(directory.path().to_owned());
        let closed = App {
            certificates: vec!["5".repeat(32)],
            ..App::default()
        };
        let app = |id: &str| AppId::parse(id).expect("an app id");
        config.apps = Apps {
            accept_any: false,
            listed: [
                (app(APP), App::default()),
                (app(OTHER_APP), App::default()),
                (app(CLOSED_APP), closed),
            ]
            .into(),
        };
        change(&mut config);
        let server = TestServer::start(config);
        Self { server, directory }
    }

    fn start() -> Self {
        Self::with(|_| {})
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Waits until that many files are there: what is left of a refused upload goes after the
    /// answer.
    fn has_files(&self, count: usize) {
        let what = format!("{count} files in {}", self.directory.path().display());
        until(&what, || self.files().len() == count);
    }

    fn files(&self) -> Vec<PathBuf> {
        fn walk(path: &Path, list: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(path).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    walk(&path, list)
                } else {
                    list.push(path)
                }
            }
        }
        let mut list = Vec::new();
        walk(&self.directory.path().join("media"), &mut list);
        list
    }

    fn upload(&self, bytes: &[u8]) -> String {
        let answer = self.post(APP, bytes, "Tidings-User: alice\r\n");
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["mediaId"].as_str().expect("an id").to_owned()
    }

    fn post(&self, app: &str, bytes: &[u8], headers: &str) -> Answer {
        let head = format!(
            "POST /v1/media/{app} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n",
            bytes.len()
        );
        let mut stream = connect_tcp(self.address());
        stream.write_all(head.as_bytes()).expect("the head is sent");
        // A server that refuses may stop reading.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    fn get(&self, app: &str, id: &str, headers: &str) -> Answer {
        let head = format!("GET /v1/media/{app}/{id} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        request(self.address(), &head)
    }
}

fn request(address: SocketAddr, head: &str) -> Answer {
    let mut stream = connect_tcp(address);
    stream.write_all(head.as_bytes()).expect("it is sent");
    if head.starts_with("HEAD") {
        Answer::read_to_head(&mut stream)
    } else {
        Answer::read(&mut stream)
    }
}

/// Status and outcome of an error, which must say what to do.
fn error(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    let error = &json["error"];
    assert!(error["outcome"].is_u64() && error["text"].as_str().is_some_and(|t| !t.is_empty()));
    assert!(
        error["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
        "{json}"
    );
    (
        answer.status,
        error["name"].as_str().expect("a name").to_owned(),
    )
}

const ALICE: &str = "Tidings-User: alice\r\n";

fn bytes(count: usize) -> Vec<u8> {
    let pattern: Vec<u8> = (0..251).collect();
    let mut bytes = pattern.repeat(count / pattern.len() + 1);
    bytes.truncate(count);
    bytes
}

// proves: rtm-2.18-download, rtm-2.18-unguessable, rtm-2.1-media-size
#[test]
fn a_file_of_32_mb_comes_back_byte_by_byte() {
    let place = Place::start();
    let content = bytes(33_554_432);
    let id = place.upload(&content);
    assert!(id.len() >= 32, "{id}");
    let answer = place.get(APP, &id, "Tidings-User: bob\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("33554432"));
    assert!(answer.body == content, "other bytes");
    let too_large = place.post(APP, &bytes(33_554_433), ALICE);
    assert_eq!(error(&too_large), (413, "media_too_large".into()));
    place.has_files(1);
}

#[test]
fn one_byte_is_a_file_and_none_is_not() {
    let place = Place::start();
    let id = place.upload(b"x");
    assert_eq!(place.get(APP, &id, ALICE).body, b"x");
    assert_eq!(
        error(&place.post(APP, b"", ALICE)),
        (400, "media_empty".into())
    );
    place.has_files(1);
}

#[test]
fn chunks_are_counted_while_they_come() {
    let place = Place::with(|config| config.media.file_bytes_max = 10);
    let send = |chunks: &str| {
        let head = format!(
            "POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\n{ALICE}Transfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        request(place.address(), &head)
    };
    assert_eq!(send("a\r\n0123456789\r\n0\r\n\r\n").status, 201);
    let answer = send("a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n");
    assert_eq!(error(&answer), (413, "media_too_large".into()));
    place.has_files(1);
}

#[test]
fn type_and_name_come_back_and_nothing_runs_as_a_page() {
    let place = Place::start();
    let headers =
        format!("{ALICE}Content-Type: text/html\r\nTidings-File-Name: %C3%A4%20%22b%22.html\r\n");
    let answer = place.post(APP, b"<script>", &headers);
    let id = answer.json()["mediaId"].as_str().expect("an id").to_owned();
    let answer = place.get(APP, &id, ALICE);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    let name = "attachment; filename*=UTF-8''%C3%A4%20%22b%22%2Ehtml";
    assert_eq!(answer.header("content-disposition"), Some(name));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(
        answer
            .header("content-security-policy")
            .is_some_and(|policy| policy.contains("sandbox"))
    );
}

#[test]
fn names_and_types_that_could_write_headers_are_refused() {
    let place = Place::start();
    let cases = [
        "Tidings-File-Name: a%0D%0ASet-Cookie:%20b\r\n".to_owned(),
        "Tidings-File-Name: a%00b\r\n".to_owned(),
        "Tidings-File-Name: %FF\r\n".to_owned(),
        format!("Tidings-File-Name: {}\r\n", "n".repeat(256)),
        format!("Content-Type: {}\r\n", "t".repeat(128)),
    ];
    for headers in cases {
        let answer = place.post(APP, b"x", &format!("{ALICE}{headers}"));
        assert_eq!(
            error(&answer),
            (400, "invalid_argument".into()),
            "{headers}"
        );
    }
    assert_eq!(place.files(), Vec::<PathBuf>::new());
}

#[test]
fn only_who_could_log_in_may() {
    let place = Place::start();
    let id = place.upload(b"x");
    let cases = [
        (APP, "", 400, "invalid_user_id"),
        (APP, "Tidings-User: a%2Fb\r\n", 400, "invalid_user_id"),
        ("short", ALICE, 404, "unknown_app"),
        (
            "dddddddddddddddddddddddddddddddd",
            ALICE,
            404,
            "unknown_app",
        ),
        (CLOSED_APP, ALICE, 401, "invalid_token"),
        (
            CLOSED_APP,
            "Tidings-User: alice\r\nAuthorization: Bearer 007bad\r\n",
            401,
            "invalid_token",
        ),
    ];
    for (app, headers, status, name) in cases {
        let expected = (status, name.to_owned());
        assert_eq!(
            error(&place.post(app, b"x", headers)),
            expected,
            "{app} {headers}"
        );
        assert_eq!(
            error(&place.get(app, &id, headers)),
            expected,
            "{app} {headers}"
        );
    }
    let spaced = place.post(APP, b"x", "Tidings-User: %20a%20\r\n");
    assert_eq!(spaced.status, 201, "spaces are part of a user id");
}

#[test]
fn an_id_is_good_in_its_app_only_and_is_no_path() {
    let place = Place::start();
    let id = place.upload(b"x");
    let unknown = format!("{}{}", &id[..41], if id.ends_with('0') { '1' } else { '0' });
    let missing = (404, "media_not_found".to_owned());
    assert_eq!(error(&place.get(OTHER_APP, &id, ALICE)), missing);
    for id in [
        unknown.as_str(),
        &id.to_uppercase(),
        "..",
        "..%2F..%2FFORMAT",
        "%2e%2e%2fLOCK",
        "x",
    ] {
        assert_eq!(error(&place.get(APP, id, ALICE)), missing, "{id}");
    }
}

#[test]
fn parts_can_be_asked_for() {
    let place = Place::start();
    let content = bytes(300_000);
    let id = place.upload(&content);
    let part = |range: &str| place.get(APP, &id, &format!("{ALICE}Range: {range}\r\n"));
    let answer = part("bytes=131070-262200");
    assert_eq!(answer.status, 206);
    assert_eq!(
        answer.header("content-range"),
        Some("bytes 131070-262200/300000")
    );
    assert!(answer.body == content[131_070..=262_200]);
    assert!(part("bytes=-5").body == content[299_995..]);
    let beyond = part("bytes=300000-");
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), Some("bytes */300000"));
    let head = format!("HEAD /v1/media/{APP}/{id} HTTP/1.1\r\nHost: a\r\n{ALICE}\r\n");
    let head = request(place.address(), &head);
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, Some("300000"), 0)
    );
}

#[test]
fn a_truncated_upload_leaves_nothing() {
    let place = Place::start();
    let head = format!(
        "POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\n{ALICE}Content-Length: 1000000\r\n\r\n"
    );
    let mut stream = connect_tcp(place.address());
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(&bytes(400_000)).expect("a part is sent");
    stream.shutdown(Shutdown::Write).expect("the end");
    let mut rest = Vec::new();
    // An answer may come or not; what counts is that the visit has ended.
    let _ = stream.read_to_end(&mut rest);
    until("its files are gone", || place.files().is_empty());
    let id = place.upload(b"next");
    assert_eq!(place.get(APP, &id, ALICE).body, b"next");
}

#[test]
fn what_a_crash_left_half_written_goes_at_the_next_start() {
    let directory = TempDir::new().expect("a directory");
    let partial = directory.path().join("media/.partial");
    fs::create_dir_all(&partial).expect("made");
    fs::write(partial.join("0".repeat(42)), b"half").expect("written");
    let mut config = config();
    config.store = StoreConfig::Directory(directory.path().to_owned());
    let server = TestServer::start(config);
    assert_eq!(fs::read_dir(&partial).expect("a directory").count(), 0);
    server.end();
}

#[test]
fn a_file_survives_a_restart_and_ends_when_its_time_is_over() {
    let directory = TempDir::new().expect("a directory");
    let media = directory.path().join("media");
    let place = |directory: &Path| {
        let mut config = config();
        config.store = StoreConfig::Directory(directory.to_owned());
        TestServer::start(config)
    };
    let get = |server: &TestServer, id: &str| {
        let head = format!("GET /v1/media/{APP}/{id} HTTP/1.1\r\nHost: a\r\n{ALICE}\r\n");
        request(server.address(), &head)
    };
    let server = place(directory.path());
    let head =
        format!("POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\n{ALICE}Content-Length: 4\r\n\r\nkept");
    let answer = request(server.address(), &head).json();
    let id = answer["mediaId"].as_str().expect("an id").to_owned();
    let expires = answer["expiresTs"].as_u64().expect("a time");
    server.end();
    let server = place(directory.path());
    assert_eq!(get(&server, &id).body, b"kept");
    server.end();
    // The same file, as if uploaded 7 days and 2 s earlier.
    let created = expires / 1_000 - 604_800;
    let old = format!("{:010x}{}", created - 604_802, &id[10..]);
    fs::rename(media.join(APP).join(&id), media.join(APP).join(&old)).expect("renamed");
    let server = place(directory.path());
    assert_eq!(error(&get(&server, &old)), (404, "media_not_found".into()));
    until("its folder is gone", || !media.join(APP).exists());
}

#[test]
fn an_app_and_the_server_have_only_so_much_space() {
    let place = Place::with(|config| {
        config.media.app_bytes_max = Some(3 * 4_096);
        config.media.bytes_max = 5 * 4_096;
    });
    place.upload(&bytes(8_000));
    let full = place.post(APP, &bytes(5_000), ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    assert!(
        full.json()["error"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("the app"))
    );
    assert_eq!(place.post(OTHER_APP, &bytes(8_000), ALICE).status, 201);
    let full = place.post(APP, &bytes(5_000), ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    place.upload(&bytes(100));
    place.has_files(3);
}

#[test]
fn an_apps_own_quota_counts_in_place_of_what_every_app_may_have() {
    let app = |id: &str| AppId::parse(id).expect("an app id");
    let quota = |bytes| Quotas {
        max_media_bytes: Some(bytes),
        ..Quotas::default()
    };
    let with = |of_app: u64, of_other: u64| {
        Place::with(|config| {
            config.media.app_bytes_max = Some(2 * 4_096);
            config.media.bytes_max = 6 * 4_096;
            for (id, bytes) in [(APP, of_app), (OTHER_APP, of_other)] {
                let listed = config.apps.listed.get_mut(&app(id)).expect("an app");
                listed.quotas = quota(bytes);
            }
        })
    };
    // Less than every app may have, and more.
    let place = with(4_096, 3 * 4_096);
    place.upload(&bytes(100));
    let full = place.post(APP, b"x", ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    let text = full.text();
    assert!(text.contains("max_media_bytes is 4096"), "{text}");
    for size in [8_000, 100] {
        assert_eq!(place.post(OTHER_APP, &bytes(size), ALICE).status, 201);
    }
    let full = place.post(OTHER_APP, b"x", ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    assert!(full.text().contains("max_media_bytes is 12288"));

    // 0 is "unlimited": the server's bound is left.
    let place = with(0, 4_096);
    for _ in 0..3 {
        place.upload(&bytes(8_000));
    }
    let full = place.post(APP, b"x", ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    assert!(full.text().contains("media-bytes-max"), "{full:?}");
}

#[test]
fn a_user_has_a_share_and_can_delete_files_for_room() {
    let place = Place::with(|config| config.media.user_bytes_max = Some(2 * 4_096));
    let id = place.upload(&bytes(8_000));
    let full = place.post(APP, b"x", ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    assert!(full.text().contains("media-user-bytes-max"), "{full:?}");
    assert_eq!(
        place
            .post(APP, &bytes(8_000), "Tidings-User: bob\r\n")
            .status,
        201
    );
    // Somebody else cannot delete it; whoever has uploaded it can, once.
    let delete = |app: &str, id: &str, headers: &str| {
        let head = format!("DELETE /v1/media/{app}/{id} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let mut stream = connect_tcp(place.address());
        stream.write_all(head.as_bytes()).expect("sent");
        Answer::read(&mut stream)
    };
    let bobs = delete(APP, &id, "Tidings-User: bob\r\n");
    assert_eq!(error(&bobs), (403, "media_not_yours".into()));
    for (app, id) in [(OTHER_APP, id.as_str()), (APP, "x"), (APP, "..")] {
        let missing = delete(app, id, ALICE);
        assert_eq!(
            error(&missing),
            (404, "media_not_found".into()),
            "{app} {id}"
        );
    }
    let closed = delete(CLOSED_APP, &id, ALICE);
    assert_eq!(error(&closed), (401, "invalid_token".into()));
    assert_eq!(place.get(APP, &id, ALICE).status, 200);
    assert_eq!(delete(APP, &id, ALICE).status, 204);
    assert_eq!(
        error(&delete(APP, &id, ALICE)),
        (404, "media_not_found".into())
    );
    assert_eq!(
        error(&place.get(APP, &id, ALICE)),
        (404, "media_not_found".into())
    );
    place.upload(&bytes(8_000));
}

#[test]
fn one_app_cannot_take_all_of_the_space_from_others() {
    let place = Place::with(|config| config.media.bytes_max = 8 * 4_096);
    for user in ["a", "b"] {
        let headers = format!("Tidings-User: {user}\r\n");
        assert_eq!(place.post(APP, &bytes(8_000), &headers).status, 201);
    }
    let full = place.post(APP, b"x", "Tidings-User: c\r\n");
    assert_eq!(error(&full), (507, "media_full".into()));
    let text = full.text();
    assert!(text.contains("media-app-bytes-max"), "{text}");
    assert_eq!(place.post(OTHER_APP, &bytes(8_000), ALICE).status, 201);
}

#[test]
fn operators_list_and_delete_files_beside_the_server() {
    let place = Place::with(|config| config.media.bytes_max = 4 * 4_096);
    let headers = format!("{ALICE}Content-Type: text/plain\r\nTidings-File-Name: a%20b.txt\r\n");
    let posted = place.post(APP, b"hello", &headers);
    let id = posted.json()["mediaId"].as_str().expect("an id").to_owned();
    assert_eq!(
        place
            .post(OTHER_APP, b"other", "Tidings-User: bob\r\n")
            .status,
        201
    );
    let files = MediaFiles::of(place.directory.path());
    let (app, other) = (AppId::parse(APP), AppId::parse(OTHER_APP));
    let (app, other) = (app.expect("an app id"), other.expect("an app id"));
    let (alice, bob) = (UserId::parse("alice"), UserId::parse("bob"));
    let (alice, bob) = (alice.expect("a user id"), bob.expect("a user id"));
    let list = |app, user| files.list(app, user).expect("a list");
    assert_eq!(list(None, None).len(), 2);
    assert_eq!(list(Some(&other), None).len(), 1);
    assert_eq!(list(Some(&app), Some(&bob)).len(), 0);
    let file = list(None, Some(&alice)).pop().expect("alice's");
    assert_eq!((file.id.as_str(), file.bytes), (id.as_str(), 5));
    assert_eq!(
        (file.content_type.as_str(), file.file_name.as_str()),
        ("text/plain", "a b.txt")
    );
    assert_eq!((&file.app, &file.user), (&app, &Some(alice)));
    // The app's half is used up, until the operator makes room.
    assert_eq!(place.post(APP, &bytes(3_000), ALICE).status, 201);
    assert!(files.delete(&app, &id).expect("deleted"));
    assert_eq!(place.post(APP, &bytes(3_000), ALICE).status, 201);
    for gone in [id.as_str(), "..", "../x"] {
        assert!(!files.delete(&app, gone).expect("nothing"), "{gone}");
    }
    assert_eq!(
        error(&place.get(APP, &id, ALICE)),
        (404, "media_not_found".into())
    );
    let nobody = tempfile::tempdir().expect("a directory");
    assert_eq!(
        MediaFiles::of(nobody.path())
            .list(None, None)
            .expect("none")
            .len(),
        0
    );
}

#[test]
fn files_of_the_layout_before_are_served() {
    let place = Place::start();
    let id = place.upload(b"content");
    let path = place.directory.path().join("media").join(APP).join(&id);
    fs::write(&path, "tidings-media 1\ntext/plain\nold.txt\ncontent").expect("written");
    let answer = place.get(APP, &id, ALICE);
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"content"[..])
    );
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let head = format!("DELETE /v1/media/{APP}/{id} HTTP/1.1\r\nHost: a\r\n{ALICE}\r\n");
    let refused = request(place.address(), &head);
    assert_eq!(
        error(&refused),
        (403, "media_not_yours".into()),
        "nobody knows whose it is"
    );
    // One that is damaged is found by the operator, and by nobody else.
    fs::write(&path, "nonsense").expect("written");
    assert_eq!(error(&place.get(APP, &id, ALICE)).0, 503);
    let files = MediaFiles::of(place.directory.path());
    assert_eq!(files.list(None, None).expect("a list")[0].user, None);
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_file() {
    let place = Place::with(|config| config.disk_reserve = DiskReserve::Bytes(u64::MAX));
    let full = place.post(APP, b"x", ALICE);
    assert_eq!(error(&full), (507, "media_full".into()));
    let json = full.json();
    let hint = json["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("free disk space"), "{hint}");
}

#[test]
fn a_server_without_a_directory_says_so() {
    let server = common::start();
    let head =
        format!("POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\n{ALICE}Content-Length: 1\r\n\r\nx");
    let answer = request(server.address(), &head);
    assert_eq!(error(&answer), (501, "media_off".into()));
}

#[test]
fn who_is_refused_early_can_read_why() {
    let place = Place::start();
    // Far more than the sockets hold, so that the refusal comes while the client is sending.
    let answer = place.post(CLOSED_APP, &bytes(20_000_000), ALICE);
    assert_eq!(error(&answer), (401, "invalid_token".into()));
}

#[test]
fn a_slow_upload_keeps_nobody_waiting() {
    let place = Place::start();
    let head = format!(
        "POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\nTidings-User: slow\r\nContent-Length: 3\r\n\r\n"
    );
    let mut slow: Vec<_> = (0..18)
        .map(|_| {
            let mut stream = connect_tcp(place.address());
            stream.write_all(head.as_bytes()).expect("the head is sent");
            stream.write_all(b"a").expect("a byte is sent");
            stream
        })
        .collect();
    let id = place.upload(&bytes(200_000));
    assert_eq!(place.get(APP, &id, ALICE).body.len(), 200_000);
    until("a transfer too many is refused", || {
        let one_more = place.get(APP, &id, "Tidings-User: slow\r\n");
        one_more.status == 429 && error(&one_more).1 == "too_many_transfers"
    });
    for mut stream in slow.drain(..) {
        stream.write_all(b"bc").expect("the rest is sent");
        assert_eq!(Answer::read(&mut stream).status, 201);
    }
    assert_eq!(place.get(APP, &id, "Tidings-User: slow\r\n").status, 200);
}

#[test]
fn pages_of_allowed_origins_may_read_the_answers() {
    let any = Place::start();
    let origin = "Origin: https://page.example\r\n";
    let id = any.upload(b"x");
    let answer = any.get(APP, &id, &format!("{ALICE}{origin}"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let error = any.get(APP, "x", &format!("{ALICE}{origin}"));
    assert_eq!(
        error.header("access-control-allow-origin"),
        Some("*"),
        "errors too"
    );
    let preflight = format!(
        "OPTIONS /v1/media/{APP} HTTP/1.1\r\nHost: a\r\n{origin}Access-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization,tidings-user\r\n\r\n"
    );
    let answer = request(any.address(), &preflight);
    assert_eq!(answer.status, 204);
    let allowed = answer
        .header("access-control-allow-headers")
        .expect("headers");
    assert!(
        allowed.contains("Authorization") && allowed.contains("Tidings-User"),
        "{allowed}"
    );

    let listed = Place::with(|config| {
        config.origins = Origins::Listed(vec!["https://page.example".parse().expect("an origin")]);
    });
    let id = listed.upload(b"x");
    let answer = listed.get(APP, &id, &format!("{ALICE}{origin}"));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://page.example")
    );
    assert!(answer.head.to_lowercase().contains("vary: origin"));
    let foreign = listed.get(
        APP,
        &id,
        &format!("{ALICE}Origin: https://other.example\r\n"),
    );
    assert_eq!(
        (
            foreign.status,
            foreign.header("access-control-allow-origin")
        ),
        (403, None)
    );
}
