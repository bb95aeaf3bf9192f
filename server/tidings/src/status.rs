//! `tidings status` and `tidings reload`: the state of the server on a data directory.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::command::{Place, StatusArguments};
use crate::control::{Change, Request, Status, ask};
use crate::failure::Failure;
use crate::output;
use crate::people::{Door, Found};
use crate::words::counted;

/// Prints the server's state.
pub(crate) fn run(arguments: &StatusArguments) -> Result<(), Failure> {
    let status = match arguments.server.find()? {
        Found::There(door) => elsewhere(&door)?,
        // The control socket answers even when the API cannot be reached.
        Found::Here(data_dir) => {
            let answer = ask(&data_dir, Request::Status)?.ok_or_else(|| {
                let nobody = nobody(&data_dir);
                let hint = format!(
                    "{}, or --url or --context for a server elsewhere",
                    nobody.hint()
                );
                Failure::new(nobody.what(), hint)
            })?;
            answer.status.unwrap_or_default()
        }
    };
    if arguments.json {
        output::write_json(&status)
    } else {
        output::write(&described(&status))
    }
}

/// The state of a server that only its API can be asked about.
fn elsewhere(door: &Door) -> Result<Status, Failure> {
    let nodes = door.api.get("/api/v1/nodes", &[])?;
    let stats = door.api.get("/api/v1/stats", &[])?;
    let mut status = nodes["items"][0].clone();
    let mut apps = 0;
    for app in door.api.list("/api/v1/apps", &[]) {
        app?;
        apps += 1;
    }
    status["apps"] = json!(apps);
    status["dev"] = json!(false);
    status["numbers"] = stats;
    serde_json::from_value(status).map_err(|error| {
        Failure::new(
            format!("the server's state cannot be read: {error}"),
            "use the program of the same version as the server's",
        )
    })
}

/// Makes the server reload its apps and its TLS certificate.
pub(crate) fn reload(place: &Place) -> Result<(), Failure> {
    let data_dir = place.resolve()?;
    let request = Request::Reload { because: None };
    let answer = ask(&data_dir, request)?.ok_or_else(|| nobody(&data_dir))?;
    let apps = counted(
        answer.apps.unwrap_or_default(),
        "app is served",
        "apps are served",
    );
    output::write(&format!(
        "{apps}; what became of the TLS certificate is in the log\n"
    ))
}

fn nobody(data_dir: &Path) -> Failure {
    Failure::new(
        format!("no server runs on {}", data_dir.display()),
        "start it with `tidings serve`, or give --data-dir the directory that it uses",
    )
}

fn described(status: &Status) -> String {
    let uptime = humantime::format_duration(Duration::from_secs(status.uptime_s));
    let mut text = format!(
        "program    {}\nprocess    {}, running for {uptime}\nlisten     {}{}\n",
        status.program,
        status.pid,
        status.listen,
        if status.tls { " with TLS" } else { "" },
    );
    if let Some(address) = &status.admin_listen {
        text += &format!("           {address} for operators\n");
    }
    let any = if status.dev {
        "; --dev: every app id is accepted"
    } else {
        ""
    };
    text += &format!(
        "hubs       {}\napps       {}{any}\n",
        status.hubs, status.apps
    );
    if let Some(bytes) = status.memory_bytes {
        text += &format!("memory     {} MiB\n", bytes >> 20);
    }
    text += &match &status.store_reason {
        None => format!("store      accepts {}\n", status.store),
        Some(reason) => format!("store      accepts {}: {reason}\n", status.store),
    };
    for set in &status.key_sets {
        let loaded = match set.loaded_ago_s {
            None => "never loaded".into(),
            Some(ago) => format!(
                "loaded {} ago",
                humantime::format_duration(Duration::from_secs(ago))
            ),
        };
        let error = set.error.as_ref().map(|error| format!("; {error}"));
        text += &format!(
            "key set    app {}: {} of {}, {loaded}{}\n",
            set.app,
            counted(set.keys, "key", "keys"),
            set.place,
            error.unwrap_or_default()
        );
    }
    if let Some(numbers) = &status.numbers {
        text += &numbers.described();
    }
    text
}

/// Notifies the server of a data directory that an operator has changed something there. Returns
/// the outcome, in words.
pub(crate) fn tell(data_dir: &Path, change: Change) -> Result<String, Failure> {
    let request = Request::Reload {
        because: Some(change),
    };
    match ask(data_dir, request) {
        Ok(Some(_)) => Ok("The running server has taken it in.".into()),
        Ok(None) => Ok(format!(
            "No server that could be told runs on {}: it counts from the next start, or from SIGHUP on.",
            data_dir.display()
        )),
        Err(failure) => Err(Failure::new(
            format!("the change is written, but {}", failure.what()),
            failure.hint(),
        )),
    }
}
