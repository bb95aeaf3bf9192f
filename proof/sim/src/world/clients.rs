//! What a test can do with clients and their networks.

use tidings_client_core as core;

use super::{APP_ID, ClientId, Happening, World};

impl World {
    /// Adds a client that is not logged in.
    pub fn add_client(&mut self) -> ClientId {
        let seed = self.random.next_u64();
        self.clients.push(core::Client::new("tidings-sim", seed));
        self.offline.push(false);
        ClientId(self.clients.len() - 1)
    }

    /// Logs a client in.
    pub fn login(&mut self, client: ClientId, user_id: &str, token: &str) -> core::CallId {
        self.login_to(client, APP_ID, user_id, token)
    }

    /// Logs a client in to an app.
    pub fn login_to(
        &mut self,
        client: ClientId,
        app_id: &str,
        user_id: &str,
        token: &str,
    ) -> core::CallId {
        let id = self.next_call();
        let input = core::Input::Login {
            id,
            app_id: app_id.into(),
            user_id: user_id.into(),
            token: token.into(),
        };
        self.give_client(client, input);
        id
    }

    /// Logs a client out.
    pub fn logout(&mut self, client: ClientId) -> core::CallId {
        let id = self.next_call();
        self.give_client(client, core::Input::Logout { id });
        id
    }

    /// Gives a client a new token.
    pub fn renew(&mut self, client: ClientId, token: &str) -> core::CallId {
        let id = self.next_call();
        let token = token.to_owned();
        self.give_client(client, core::Input::RenewToken { id, token });
        id
    }

    /// Notifies a client that the network has changed.
    pub fn wake(&mut self, client: ClientId) {
        self.give_client(client, core::Input::Wake);
    }

    /// Makes a client call.
    pub fn call(&mut self, client: ClientId, call: core::Call) -> core::CallId {
        let id = self.next_call();
        self.give_client(client, core::Input::Call { id, call });
        id
    }

    pub(crate) fn next_call(&mut self) -> core::CallId {
        self.calls += 1;
        self.calls
    }

    /// The client's connection state.
    pub fn state(&self, client: ClientId) -> core::ConnectionState {
        self.clients[client.0].state()
    }

    /// Cuts a client's connection; both sides notice after a while. It can reconnect at once.
    pub fn cut(&mut self, client: ClientId) {
        for wire in self.wires_of(client) {
            let delay = self.random.between(0, self.config.network_delay_ms_max);
            self.schedule(delay, Happening::CloseHub { wire });
            let delay = self.random.between(0, self.config.network_delay_ms_max);
            self.schedule(delay, Happening::CloseClient { wire, code: None });
        }
    }

    /// Takes a client's network away at once: everything in transit is lost, and its own side
    /// notices.
    pub fn unplug(&mut self, client: ClientId) {
        self.offline[client.0] = true;
        self.half_open(client);
        for wire in self.wires_of(client) {
            let delay = self.random.between(0, self.config.network_delay_ms_max);
            self.schedule(delay, Happening::CloseHub { wire });
            self.close_client(wire, None);
        }
    }

    /// Makes a client's current connections swallow everything: nobody is notified.
    pub fn half_open(&mut self, client: ClientId) {
        for wire in self.wires_of(client) {
            if let Some(wire) = self.wires.get_mut(&wire) {
                wire.is_half_open = true;
            }
        }
    }

    /// Takes a client's network away, or gives it back.
    pub fn set_offline(&mut self, client: ClientId, is_offline: bool) {
        self.offline[client.0] = is_offline;
        if is_offline {
            self.cut(client);
        }
    }
}
