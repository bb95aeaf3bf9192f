//! The handle of a client.

use std::sync::Arc;

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, CallError, ConnectionState, Conversation, HistoryPage,
    HistoryRange, Message, PresenceState,
};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::access;
use crate::builder::Builder;
use crate::channel::Channel;
use crate::driver::{Command, Reply};
use crate::error::{
    AttributeError, LoginError, LogoutError, MemberCountError, PeerMessageError,
    PresenceQueryError, RenewTokenError, SubscriptionError, SubscriptionQueryError,
};
use crate::rivals::{self, Place};

/// What became of a peer message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerReceipt {
    /// The peer's client has confirmed it.
    Received,
    /// The peer is offline. The message is stored durably if that was asked for, otherwise dropped.
    NotReceived,
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct SendOptions {
    offline: bool,
    history: bool,
}

impl SendOptions {
    /// Neither stored for an offline peer nor kept in the history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a peer message when the peer cannot be reached.
    pub fn offline(mut self) -> Self {
        self.offline = true;
        self
    }

    /// Keeps a copy in the history.
    pub fn history(mut self) -> Self {
        self.history = true;
        self
    }

    pub(crate) fn keeps_history(self) -> bool {
        self.history
    }
}

/// One login of one user at a time. Cheap to clone; all clones are the same client.
///
/// When the last clone and the last [`Channel`] are dropped, the connection is closed without a
/// logout: others see the user leave after the grace of 30 s.
#[derive(Debug, Clone)]
pub struct Client {
    app_id: String,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) state: watch::Receiver<ConnectionState>,
    /// Places for uploads and downloads.
    pub(crate) transfers: Arc<Semaphore>,
    /// The server's address, and the client's name among others of the program.
    endpoint: Arc<str>,
    /// It is no rival of the other clients of this program.
    is_apart: bool,
    name: u64,
}

impl Client {
    /// Begins the settings of a client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        endpoint: &str,
        app_id: String,
        is_apart: bool,
        commands: mpsc::Sender<Command>,
        state: watch::Receiver<ConnectionState>,
    ) -> Self {
        Self {
            app_id,
            commands,
            state,
            transfers: access::places(),
            endpoint: endpoint.into(),
            is_apart,
            name: rivals::name_client(),
        }
    }

    /// Logs in. `token` is needed when the app has a certificate.
    ///
    /// Several attempts are made within 12 s. A login that has succeeded is kept up until
    /// [`Client::logout`]; one that has failed is not repeated.
    ///
    /// One user has one login at a time, and the latest wins. If several clients of a program log
    /// the same user in at the same moment, the one that was called last (whose future was polled
    /// last for the first time) stays; the others end with outcome
    /// [`RemoteLogin`](crate::Outcome::RemoteLogin).
    ///
    /// # Errors
    /// [`LoginError`] with codes 1, 3 to 10: the server refuses, 12 s have passed, or the client is
    /// logged in.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = serve();
    /// use tidings_client::{Client, ConnectionState};
    ///
    /// let (client, _events) = Client::builder()
    ///     .endpoint(&server.endpoint)
    ///     .app_id("0123456789abcdef0123456789abcdef")
    ///     .build()?;
    /// client.login("alice", None).await?;
    /// assert_eq!(client.state(), ConnectionState::Connected);
    ///
    /// // Too soon, which the error says in numbers and in words.
    /// let error = client.login("alice", None).await.expect_err("logged in");
    /// assert_eq!((error.code(), error.is_retryable()), (10, true));
    /// println!("{error}; {}", error.hint());
    /// client.logout().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn login(&self, user_id: &str, token: Option<&str>) -> Result<(), LoginError> {
        // Taken now, not when the driver has its turn: the order of the calls counts.
        let has_place = self.state() == ConnectionState::Disconnected && !self.is_apart;
        let place =
            has_place.then(|| Place::take(&self.endpoint, &self.app_id, user_id, self.name));
        let login = |reply| Command::Login {
            place,
            app_id: self.app_id.clone(),
            user_id: user_id.to_owned(),
            token: token.unwrap_or_default().to_owned(),
            reply,
        };
        self.ask(login).await?;
        Ok(())
    }

    /// Logs out: others see the user leave at once.
    ///
    /// Without a link the logout is done locally after at most 4 s.
    ///
    /// # Errors
    /// [`LogoutError`], code 102, when the client is not logged in.
    pub async fn logout(&self) -> Result<(), LogoutError> {
        self.ask(|reply| Command::Logout { reply }).await?;
        Ok(())
    }

    /// Logs out without waiting, for places that cannot: handlers of signals, `Drop`.
    ///
    /// The logout goes on as long as a handle of the client lives and its runtime runs.
    ///
    /// # Errors
    /// [`LogoutError`], code 102, when the client is not logged in, or 256 calls wait for the
    /// driver.
    pub fn logout_sync(&self) -> Result<(), LogoutError> {
        if self.state() == ConnectionState::Disconnected {
            return Err(CallError::NotLoggedIn.into());
        }
        let (reply, _answer) = oneshot::channel();
        let sent = self.commands.try_send(Command::Logout { reply });
        sent.map_err(|_| CallError::NotLoggedIn.into())
    }

    /// Replaces the token by one of the same user. Without a link it serves at the next attempt.
    ///
    /// # Errors
    /// [`RenewTokenError`] when the server refuses the token or does not answer within 10 s.
    pub async fn renew_token(&self, token: &str) -> Result<(), RenewTokenError> {
        let token = token.to_owned();
        self.ask(|reply| Command::RenewToken { token, reply })
            .await?;
        Ok(())
    }

    /// The connection state now; its changes come as events too.
    pub fn state(&self) -> ConnectionState {
        *self.state.borrow()
    }

    /// Checks the link at once. To be called when the device has woken up or the network changed.
    pub async fn wake(&self) {
        // A driver that has ended needs no waking.
        let _ = self.commands.send(Command::Wake).await;
    }

    /// Sends a message to a user, at most 32 KB.
    ///
    /// # Errors
    /// [`PeerMessageError`]. Code 2 (no answer within 10 s) does not say that it was not received.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = serve();
    /// use tidings_client::{ClientEvent, Message, PeerReceipt, SendOptions};
    ///
    /// # let (alice, _events) = server.client("alice").await;
    /// # let (_bob, mut events) = server.client("bob").await;
    /// let receipt = alice.send_to_peer("bob", "hello", SendOptions::new()).await?;
    /// assert_eq!(receipt, PeerReceipt::Received);
    ///
    /// // Bob's side.
    /// let told = loop {
    ///     if let Some(ClientEvent::PeerMessage { from, message, .. }) = events.next().await {
    ///         break (from, message);
    ///     }
    /// };
    /// assert_eq!(told, ("alice".to_owned(), Message::Text("hello".to_owned())));
    ///
    /// // Carol is away: stored for seven days.
    /// let receipt = alice.send_to_peer("carol", "later", SendOptions::new().offline()).await?;
    /// assert_eq!(receipt, PeerReceipt::NotReceived);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_to_peer(
        &self,
        peer_id: &str,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<PeerReceipt, PeerMessageError> {
        let call = Call::SendToPeer {
            peer_id: peer_id.to_owned(),
            message: message.into(),
            offline: options.offline,
            history: options.history,
        };
        match self.call(call).await? {
            Answer::PeerSent { received: true } => Ok(PeerReceipt::Received),
            Answer::PeerSent { received: false } => Ok(PeerReceipt::NotReceived),
            _ => Err(unexpected().into()),
        }
    }

    /// Reads the conversation with one user, as far as its messages were sent with
    /// [`SendOptions::history`]. An extension of ours: the RTM 1.x SDKs have no such method.
    ///
    /// # Errors
    /// [`PeerMessageError`].
    pub async fn peer_history(
        &self,
        peer_id: &str,
        range: HistoryRange,
    ) -> Result<HistoryPage, PeerMessageError> {
        let call = Call::ReadHistory {
            conversation: Conversation::Peer(peer_id.to_owned()),
            range,
        };
        match self.call(call).await? {
            Answer::History(page) => Ok(page),
            _ => Err(unexpected().into()),
        }
    }

    /// A handle of a channel. Does not join it.
    pub fn channel(&self, name: impl Into<String>) -> Channel {
        Channel::new(self.clone(), name.into())
    }

    /// Counts the members of 1 to 32 channels, joined or not. Unknown ones have 0.
    ///
    /// # Errors
    /// [`MemberCountError`].
    pub async fn member_counts<N: Into<String>>(
        &self,
        channels: impl IntoIterator<Item = N>,
    ) -> Result<Vec<(String, u32)>, MemberCountError> {
        match self
            .call(Call::GetMemberCounts {
                channels: owned(channels),
            })
            .await?
        {
            Answer::MemberCounts(counts) => Ok(counts),
            _ => Err(unexpected().into()),
        }
    }

    /// Asks whether 1 to 256 users are online. A user counts as online for 30 s after a lost link.
    ///
    /// # Errors
    /// [`PresenceQueryError`].
    pub async fn query_presence<N: Into<String>>(
        &self,
        user_ids: impl IntoIterator<Item = N>,
    ) -> Result<Vec<(String, PresenceState)>, PresenceQueryError> {
        match self
            .call(Call::QueryPresence {
                user_ids: owned(user_ids),
            })
            .await?
        {
            Answer::Presence(users) => Ok(users),
            _ => Err(unexpected().into()),
        }
    }

    /// Subscribes to 1 to 512 users: an event with all their states follows, then one per change.
    ///
    /// # Errors
    /// [`SubscriptionError`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = serve();
    /// use tidings_client::{ClientEvent, PresenceState};
    ///
    /// # let (alice, mut events) = server.client("alice").await;
    /// alice.subscribe_presence(["bob"]).await?;
    /// let mut states = Vec::new();
    /// # let mut bob = None;
    /// while states.len() < 2 {
    ///     if let Some(ClientEvent::PresenceChanged { users }) = events.next().await {
    ///         states.extend(users);
    /// #       if bob.is_none() { bob = Some(server.client("bob").await); }
    ///     }
    /// }
    /// // Bob was away, and has logged in since.
    /// let expected = [PresenceState::Offline, PresenceState::Online];
    /// assert_eq!(states, expected.map(|state| ("bob".to_owned(), state)));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscribe_presence<N: Into<String>>(
        &self,
        user_ids: impl IntoIterator<Item = N>,
    ) -> Result<(), SubscriptionError> {
        self.call(Call::SubscribePresence {
            user_ids: owned(user_ids),
        })
        .await?;
        Ok(())
    }

    /// Ends subscriptions. Users who are not subscribed to do not matter.
    ///
    /// # Errors
    /// [`SubscriptionError`].
    pub async fn unsubscribe_presence<N: Into<String>>(
        &self,
        user_ids: impl IntoIterator<Item = N>,
    ) -> Result<(), SubscriptionError> {
        self.call(Call::UnsubscribePresence {
            user_ids: owned(user_ids),
        })
        .await?;
        Ok(())
    }

    /// Lists the users subscribed to.
    ///
    /// # Errors
    /// [`SubscriptionQueryError`].
    pub async fn presence_subscriptions(&self) -> Result<Vec<String>, SubscriptionQueryError> {
        match self.call(Call::QueryPresenceSubscriptions).await? {
            Answer::Users(users) => Ok(users),
            _ => Err(unexpected().into()),
        }
    }

    /// Changes the user's own attributes. They end with the login.
    ///
    /// `Delete` looks at the keys only, `Clear` at nothing.
    ///
    /// # Errors
    /// [`AttributeError`].
    pub async fn write_attributes(
        &self,
        how: AttributeWrite,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Result<(), AttributeError> {
        let attributes = attributes.into_iter().collect();
        self.call(Call::WriteUserAttributes { how, attributes })
            .await?;
        Ok(())
    }

    /// Reads a user's attributes; no keys means all. Keys that do not exist are left out.
    ///
    /// # Errors
    /// [`AttributeError`]; code 6 when the user is offline.
    pub async fn read_attributes<N: Into<String>>(
        &self,
        user_id: &str,
        keys: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Attribute>, AttributeError> {
        let call = Call::ReadUserAttributes {
            user_id: user_id.to_owned(),
            keys: owned(keys),
        };
        match self.call(call).await? {
            Answer::Attributes(attributes) => Ok(attributes),
            _ => Err(unexpected().into()),
        }
    }

    /// Drops the connection and keeps it down until [`Client::come_back`].
    #[cfg(feature = "test-hooks")]
    pub async fn cut(&self) {
        let _ = self.commands.send(Command::Cut).await;
    }

    /// Lets connections be opened again, and tells the client so.
    #[cfg(feature = "test-hooks")]
    pub async fn come_back(&self) {
        let _ = self.commands.send(Command::ComeBack).await;
    }

    pub(crate) async fn call(&self, call: Call) -> Result<Answer, CallError> {
        self.ask(|reply| Command::Call { call, reply }).await
    }

    /// A driver that has ended (its runtime was shut down) is logged in nowhere.
    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<Answer, CallError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| CallError::NotLoggedIn)?;
        answer.await.unwrap_or(Err(CallError::NotLoggedIn))
    }
}

pub(crate) fn owned<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

/// A reply of another kind than the call's: the server is not of our protocol's version.
pub(crate) fn unexpected() -> CallError {
    CallError::Refused {
        outcome: tidings_wire::codes::Outcome::Unsupported as u32,
        text: "the server's reply does not fit the call".to_owned(),
        retry_after_ms: 0,
    }
}
