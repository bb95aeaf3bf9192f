//! Routes of the operators' areas and of the hosted service, a row each.

use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder, ResponsesBuilder,
    Schema,
};

/// Method, path, what it does, the body's schema (empty = none), the status of a good answer.
type Row = (&'static str, &'static str, &'static str, &'static str, u16);

/// Areas by what their paths begin with; the first that fits.
const TAGS: [(&str, &str); 6] = [
    ("/dev/v2/", "Hosted service 1.x"),
    ("/rtm/v2/", "Hosted service 2.x"),
    ("/dev/v1/", "Hosted service: bans, channels, projects"),
    ("/api/v1/apps/{app}/bans", "Bans"),
    ("/api/v1/apps", "Apps"),
    ("/api/v1/", "Server"),
];

const ROWS: &[Row] = &[
    (
        "post",
        "/dev/v2/project/{app}/rtm/users/{user}/peer_messages",
        "Sends a message to a user.",
        "PeerMessage",
        200,
    ),
    (
        "post",
        "/dev/v2/project/{app}/rtm/users/{user}/peer_message",
        "The same.",
        "PeerMessage",
        200,
    ),
    (
        "post",
        "/dev/v2/project/{app}/rtm/users/{user}/channel_messages",
        "Sends a message to a channel.",
        "ChannelMessage",
        200,
    ),
    (
        "post",
        "/dev/v2/project/{app}/rtm/users/{user}/channel_message",
        "The same.",
        "ChannelMessage",
        200,
    ),
    (
        "get",
        "/dev/v2/project/{app}/rtm/vendor/user_events",
        "Takes logins and logouts.",
        "",
        200,
    ),
    (
        "get",
        "/dev/v2/project/{app}/rtm/vendor/channel_events",
        "Takes joins and leaves.",
        "",
        200,
    ),
    (
        "get",
        "/dev/v2/project/{app}/rtm/hook/user_events",
        "The same as under vendor.",
        "",
        200,
    ),
    (
        "get",
        "/dev/v2/project/{app}/rtm/hook/channel_events",
        "The same as under vendor.",
        "",
        200,
    ),
    (
        "post",
        "/dev/v2/project/{app}/rtm/message/history/query",
        "Makes a query of the history.",
        "HistoryQuery",
        200,
    ),
    (
        "get",
        "/dev/v2/project/{app}/rtm/message/history/query/{handle}",
        "Fetches the messages of a query.",
        "",
        200,
    ),
    (
        "get",
        "/dev/v2/project/{app}/rtm/message/history/count",
        "Counts messages.",
        "",
        200,
    ),
    (
        "post",
        "/rtm/v2/publish/{app}/userId/{user}/channelType/{type}/channel/{channel}",
        "Sends the body as a message.",
        "text",
        200,
    ),
    (
        "get",
        "/rtm/v2/history/{app}/userId/{user}/channelType/{type}/channel/{channel}",
        "Reads a history.",
        "",
        200,
    ),
    ("get", "/dev/v1/kicking-rule", "Lists rules.", "", 200),
    (
        "post",
        "/dev/v1/kicking-rule",
        "Makes a rule.",
        "object",
        200,
    ),
    (
        "put",
        "/dev/v1/kicking-rule",
        "Changes a rule's end.",
        "object",
        200,
    ),
    (
        "delete",
        "/dev/v1/kicking-rule",
        "Deletes a rule.",
        "object",
        200,
    ),
    (
        "get",
        "/dev/v1/kicking-rule/",
        "As without the slash.",
        "",
        200,
    ),
    (
        "post",
        "/dev/v1/kicking-rule/",
        "As without the slash.",
        "object",
        200,
    ),
    (
        "put",
        "/dev/v1/kicking-rule/",
        "As without the slash.",
        "object",
        200,
    ),
    (
        "delete",
        "/dev/v1/kicking-rule/",
        "As without the slash.",
        "object",
        200,
    ),
    ("get", "/dev/v1/channel/{app}", "Lists channels.", "", 200),
    (
        "get",
        "/dev/v1/channel/user/{app}/{channel}",
        "Lists the users of a channel.",
        "",
        200,
    ),
    (
        "get",
        "/dev/v1/channel/user/{app}/{channel}/hosts_only",
        "The same.",
        "",
        200,
    ),
    (
        "get",
        "/dev/v1/channel/user/property/{app}/{uid}/{channel}",
        "Whether a user is in a channel.",
        "",
        200,
    ),
    ("get", "/dev/v1/project", "Finds projects.", "", 200),
    ("post", "/dev/v1/project", "Makes a project.", "object", 201),
    (
        "delete",
        "/dev/v1/project",
        "Deletes a project.",
        "object",
        200,
    ),
    ("get", "/dev/v1/projects", "Lists projects.", "", 200),
    (
        "post",
        "/dev/v1/project_status",
        "Switches a project on or off.",
        "object",
        200,
    ),
    (
        "post",
        "/dev/v1/signkey",
        "Switches a certificate on or off.",
        "object",
        200,
    ),
    (
        "post",
        "/dev/v1/reset_signkey",
        "Makes a new certificate.",
        "object",
        200,
    ),
];

/// Adds the rows.
pub(super) fn add(api: &mut OpenApi) {
    for row in ROWS {
        let (method, path, ..) = *row;
        let method = match method {
            "get" => HttpMethod::Get,
            "post" => HttpMethod::Post,
            "put" => HttpMethod::Put,
            "patch" => HttpMethod::Patch,
            _ => HttpMethod::Delete,
        };
        let item = PathItem::new(method, operation(row));
        match api.paths.paths.get_mut(path) {
            Some(there) => there.merge_operations(item),
            None => {
                api.paths.paths.insert(path.to_owned(), item);
            }
        }
    }
}

fn operation((method, path, summary, body, status): &Row) -> Operation {
    let mut operation = OperationBuilder::new().summary(Some(*summary));
    let tag = TAGS.iter().find(|(prefix, _)| path.starts_with(prefix));
    operation = operation.tag(tag.map_or("Server", |(_, tag)| tag));
    let id: String = format!("{method}{path}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    operation = operation.operation_id(Some(id));
    for name in path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
    {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        operation = operation.parameter(parameter);
    }
    if !body.is_empty() {
        let kind = if *body == "text" {
            "text/plain"
        } else {
            "application/json"
        };
        let content = ContentBuilder::new().schema(Some(schema(body))).build();
        let body = RequestBodyBuilder::new().content(kind, content);
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    let mut good = ResponseBuilder::new().description("Done.");
    if *status != 204 {
        let content = ContentBuilder::new().schema(Some(schema("object")));
        good = good.content("application/json", content.build());
    }
    let bad = ResponseBuilder::new()
        .description("Refused; the convention of the path has the reason.")
        .content(
            if path.starts_with("/api/") {
                "application/problem+json"
            } else {
                "application/json"
            },
            ContentBuilder::new()
                .schema(Some(schema(if path.starts_with("/api/") {
                    "Problem"
                } else {
                    "object"
                })))
                .build(),
        );
    let responses = ResponsesBuilder::new()
        .response(status.to_string(), good.build())
        .response("4XX", bad.build());
    operation.responses(responses.build()).build()
}

fn schema(name: &str) -> RefOr<Schema> {
    match name {
        "object" => ObjectBuilder::new().schema_type(Type::Object).into(),
        "text" => ObjectBuilder::new().schema_type(Type::String).into(),
        name => Ref::from_schema_name(name).into(),
    }
}
