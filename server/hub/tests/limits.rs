//! Every limit that the hub's code uses has a test that is named here: one without a row is an
//! error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const BOUNDS: &str = "server/hub/src/tests/bounds.rs";
const SIZES: &str = "proof/sim/tests/limits.rs";
const EACH_SIZE: &str = "every_size_at_its_limit_and_one_above";
const STORE: &str = "server/store/src/contract/inbox.rs";
const SETTINGS: &str = "proof/sim/tests/settings.rs";
const LARGE: &str = "proof/sim/tests/large_channels.rs";
const OUTBOX: &str = "server/hub/src/kernel/outbox.rs";
const MODERATION: &str = "server/hub/src/moderation/tests.rs";
const TRACES: &str = "server/hub/src/tests/traces.rs";
const QUOTAS: &str = "server/hub/src/tests/quotas.rs";

/// A limit, the file of the test that fails without it, and the test.
const PROVEN: &[(&str, &str, &str)] = &[
    ("app_id_bytes", SIZES, "names_are_checked_in_every_place"),
    ("name_bytes_max", SIZES, "names_are_checked_in_every_place"),
    (
        "invitation_keep_ms",
        BOUNDS,
        "the_record_of_an_invitation_is_kept_for_its_time",
    ),
    (
        "invitation_ring_again_ms",
        BOUNDS,
        "an_invitation_that_nobody_has_is_offered_again_after_its_time",
    ),
    (
        "moderation_held_max",
        MODERATION,
        "an_app_has_so_many_questions_open",
    ),
    (
        "moderation_text_bytes_max",
        MODERATION,
        "the_text_of_a_refusal_is_cut",
    ),
    (
        "invitations_reported_max",
        BOUNDS,
        "a_login_lists_so_many_open_invitations",
    ),
    (
        "peer_ack_wait_ms",
        "proof/scenarios/off-1-peer-in-grace.txt",
        "is stored after 5 s",
    ),
    (
        "resume_window_ms",
        "proof/scenarios/del-16-window-over.txt",
        "# DEL-16",
    ),
    (
        "token_overstay_s",
        SETTINGS,
        "an_ended_token_ends_the_session_unless_the_app_says_otherwise",
    ),
    (
        "token_warning_ms",
        "proof/scenarios/rtm-7.3-token-ends.txt",
        "30 s before its token ends",
    ),
    (
        "app_bytes_max",
        "server/store/src/contract/usage.rs",
        "an_app_stores_no_more_than_its_bound",
    ),
    (
        "app_connections_max",
        QUOTAS,
        "logins_of_an_app_are_bounded_over_all_hubs",
    ),
    (
        "app_fanout_per_s_max",
        QUOTAS,
        "copies_of_messages_are_bounded",
    ),
    (
        "app_media_bytes_max",
        "server/hub/src/quotas.rs",
        "one_app_alone_has_no_quotas_and_two_have_the_defaults",
    ),
    (
        "app_messages_per_s_max",
        QUOTAS,
        "messages_of_an_app_are_bounded_over_all_hubs_and_users",
    ),
    ("attribute_key_bytes_max", SIZES, EACH_SIZE),
    ("attribute_value_bytes_max", SIZES, EACH_SIZE),
    ("attributes_max", SIZES, EACH_SIZE),
    (
        "backoff_max_ms",
        "server/hub/src/admission.rs",
        "each_refused_login_is_told_its_own_time",
    ),
    ("channel_attributes_bytes_max", SIZES, EACH_SIZE),
    (
        "channel_attributes_keep_ms",
        SETTINGS,
        "channel_attributes_outlive_the_last_member_by_the_set_time",
    ),
    (
        "channels_per_session_max",
        SIZES,
        "the_21st_channel_is_refused_and_a_leave_makes_room",
    ),
    (
        "client_name_bytes_max",
        BOUNDS,
        "the_name_of_a_client_library_is_bounded",
    ),
    (
        "flood_factor",
        "server/hub/src/kernel/floods.rs",
        "four_times_the_rate_refused_is_borne_and_more_is_not_for_long",
    ),
    (
        "flood_ms",
        "server/hub/src/kernel/floods.rs",
        "four_times_the_rate_refused_is_borne_and_more_is_not_for_long",
    ),
    (
        "heartbeat_answer_ms",
        "server/hub/src/tests/time.rs",
        "a_user_who_is_not_watched_is_pinged_after_ten_seconds",
    ),
    (
        "heartbeat_ms",
        "server/hub/src/tests/time.rs",
        "a_user_who_is_not_watched_is_pinged_after_ten_seconds",
    ),
    (
        "event_queue_max",
        "server/store/src/contract/events.rs",
        "a_queue_of_events_is_bounded",
    ),
    (
        "events_age_ms",
        "server/store/src/contract/events.rs",
        "events_are_bounded_by_count_and_age",
    ),
    (
        "events_max",
        "server/store/src/contract/events.rs",
        "events_are_bounded_by_count_and_age",
    ),
    (
        "history_age_ms",
        "server/store/src/contract/history.rs",
        "a_history_is_bounded_by_count_and_age",
    ),
    (
        "history_messages_max",
        "server/store/src/contract/history.rs",
        "a_history_is_bounded_by_count_and_age",
    ),
    (
        "history_page_bytes_max",
        BOUNDS,
        "a_page_of_a_history_is_bounded_by_count_and_bytes",
    ),
    (
        "history_page_max",
        BOUNDS,
        "a_page_of_a_history_is_bounded_by_count_and_bytes",
    ),
    (
        "inbox_age_ms",
        SETTINGS,
        "a_stored_message_is_kept_for_7_days",
    ),
    (
        "inbox_bytes_max",
        STORE,
        "the_oldest_messages_give_way_to_the_bytes",
    ),
    (
        "inbox_lasting_age_ms",
        STORE,
        "messages_with_an_end_of_their_own_go_with_it",
    ),
    (
        "inbox_lasting_bytes_max",
        STORE,
        "messages_with_an_end_of_their_own_have_bounds_of_their_own",
    ),
    (
        "inbox_lasting_messages_max",
        STORE,
        "messages_with_an_end_of_their_own_have_bounds_of_their_own",
    ),
    (
        "inbox_messages_max",
        SETTINGS,
        "the_201st_stored_message_pushes_out_the_oldest_and_no_sender_is_told",
    ),
    ("inbox_page", BOUNDS, "stored_messages_come_in_pages"),
    (
        "invitation_confirm_wait_ms",
        "proof/scenarios/inv-3-caller-silent.txt",
        "within 5 s has failed",
    ),
    (
        "invitation_decision_wait_ms",
        "server/hub/src/invitations/tests.rs",
        "an_invitation_to_nobody_ends_after_30_s_once_and_not_earlier",
    ),
    (
        "invitation_receipt_wait_ms",
        "server/hub/src/invitations/tests.rs",
        "an_invitation_to_nobody_ends_after_30_s_once_and_not_earlier",
    ),
    (
        "invitation_text_bytes_max",
        SIZES,
        "texts_and_channels_of_invitations_are_checked",
    ),
    (
        "invitations_incoming_max",
        BOUNDS,
        "so_many_invitations_ring_at_once",
    ),
    (
        "invitations_open_max",
        BOUNDS,
        "a_login_has_so_many_invitations_open",
    ),
    (
        "login_queue",
        "server/hub/src/admission.rs",
        "a_burst_passes_and_then_the_rate",
    ),
    (
        "login_rate",
        "server/hub/src/admission.rs",
        "a_burst_passes_and_then_the_rate",
    ),
    (
        "login_wait_ms",
        BOUNDS,
        "a_client_without_a_login_is_closed_after_its_time_and_not_earlier",
    ),
    ("media_id_bytes_max", BOUNDS, "the_id_of_a_file_is_bounded"),
    (
        "member_count_large_ms",
        LARGE,
        "counts_are_exact_and_told_once_a_second_or_every_3_s_above_512",
    ),
    (
        "member_count_small_ms",
        LARGE,
        "counts_are_exact_and_told_once_a_second_or_every_3_s_above_512",
    ),
    ("member_counts_per_call_max", SIZES, EACH_SIZE),
    (
        "member_events_max",
        LARGE,
        "with_512_members_joins_and_leaves_are_told_with_513_not",
    ),
    ("message_payload_bytes_max", SIZES, EACH_SIZE),
    (
        "overloaded_wait_ms",
        "server/hub/src/tests/overload.rs",
        "under_pressure_nobody_logs_in_and_who_has_a_session_resumes",
    ),
    (
        "peer_timeout_ms",
        "server/hub/src/tests/outside.rs",
        "a_receiver_who_does_not_confirm_is_told_as_a_timeout",
    ),
    ("presence_grace_ms", SETTINGS, "the_grace_is_a_setting"),
    ("presence_query_users_max", SIZES, EACH_SIZE),
    ("presence_subscriptions_max", SIZES, EACH_SIZE),
    (
        "presence_unreachable_ms",
        "server/hub/src/tests/time.rs",
        "a_half_open_link_of_a_watched_user_shows_after_six_seconds",
    ),
    (
        "rate_limited_wait_ms",
        "server/hub/src/tests/overload.rs",
        "a_client_that_stays_far_above_its_rate_is_sent_away_and_resumes",
    ),
    (
        "replay_bytes_max",
        OUTBOX,
        "the_bound_drops_the_oldest_and_says_so_in_their_place",
    ),
    (
        "replay_frames_max",
        OUTBOX,
        "the_bound_drops_the_oldest_and_says_so_in_their_place",
    ),
    (
        "requests_in_flight_max",
        BOUNDS,
        "a_session_has_so_many_requests_open_and_one_more_ends_it",
    ),
    (
        "trace_bytes_max",
        TRACES,
        "steps_are_bounded_and_the_oldest_messages_go",
    ),
    (
        "trace_kept_ms",
        TRACES,
        "traces_are_bounded_in_number_and_end_by_themselves",
    ),
    (
        "trace_longest_ms",
        "server/hub/src/tests/traces_written.rs",
        "a_trace_is_on_for_the_longest_time_at_most",
    ),
    (
        "trace_steps_max",
        TRACES,
        "steps_are_bounded_and_the_oldest_messages_go",
    ),
    (
        "trace_waits_max",
        TRACES,
        "so_many_confirmations_are_waited_for_and_no_more",
    ),
    (
        "traced_apps_max",
        TRACES,
        "one_app_more_than_may_be_has_no_traces_until_another_has_none",
    ),
    (
        "traces_per_app_max",
        TRACES,
        "traces_are_bounded_in_number_and_end_by_themselves",
    ),
    ("user_attributes_bytes_max", SIZES, EACH_SIZE),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The hub's sources without its tests.
fn sources(dir: &Path, into: &mut String) {
    for entry in std::fs::read_dir(dir).expect("the hub's sources") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, into);
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "rig.rs" {
            let text = read(&path);
            let code = text.split("\n#[cfg(test)]\nmod tests {").next();
            into.push_str(code.unwrap_or_default());
        }
    }
}

/// The names in the section `[limits]` of the one list.
fn limits() -> BTreeSet<String> {
    let text = read(&root().join("proto/limits.toml"));
    let (_, section) = text
        .split_once("\n[limits]\n")
        .expect("the section of limits");
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split_once('='));
    let is_name = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))
    };
    let names = names.map(|(name, _)| name.trim().to_owned());
    names
        .filter(|name| !name.is_empty() && is_name(name))
        .collect()
}

#[test]
fn every_limit_that_the_hub_uses_has_a_test() {
    let mut code = String::new();
    sources(&root().join("server/hub/src"), &mut code);
    let words: BTreeSet<&str> = code
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let limits = limits();
    assert!(limits.len() > 100, "the list was not understood");
    let tested: BTreeMap<&str, _> = PROVEN
        .iter()
        .map(|(limit, file, test)| (*limit, (file, test)))
        .collect();
    assert_eq!(tested.len(), PROVEN.len(), "a limit has two rows");
    let used: Vec<&String> = limits
        .iter()
        .filter(|limit| words.contains(&*limit.to_ascii_uppercase()))
        .collect();
    assert!(used.len() > 40, "the hub's sources were not found");
    let missing: Vec<_> = used
        .iter()
        .filter(|limit| !tested.contains_key(limit.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "write a test that fails without the limit, and its row here: {missing:?}"
    );
    for (limit, (file, test)) in tested {
        assert!(limits.contains(limit), "there is no limit {limit}");
        assert!(
            used.iter().any(|used| *used == limit),
            "the hub does not use {limit}"
        );
        let text = read(&root().join(file));
        assert!(text.contains(test), "{limit}: {file} has no test {test}");
    }
}
