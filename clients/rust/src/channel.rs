//! The handle of a channel.

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, Conversation, HistoryPage, HistoryRange, Message,
};

use crate::client::{Client, SendOptions, owned, unexpected};
use crate::error::{AttributeError, ChannelMessageError, GetMembersError, JoinError, LeaveError};

/// Whether members are told of a change of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notify {
    /// Every member gets an event, the writer too if it is one.
    Members,
    /// Nobody is told.
    Nobody,
}

/// A channel, joined or not. Cheap to clone. Handles of one name are the same channel.
#[derive(Debug, Clone)]
pub struct Channel {
    client: Client,
    name: String,
}

impl Channel {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The channel's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Joins: every message accepted from now on is delivered, also across interruptions.
    ///
    /// # Errors
    /// [`JoinError`]; code 6 when joined already, 5 when 20 channels are, 201 when
    /// [`Channel::leave`] is called before the join is done.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = serve();
    /// use tidings_client::ClientEvent;
    ///
    /// # let (alice, _events) = server.client("alice").await;
    /// # let (bob, mut events) = server.client("bob").await;
    /// let lobby = bob.channel("lobby");
    /// lobby.join().await?;
    /// let hers = alice.channel("lobby");
    /// hers.join().await?;
    /// hers.send("hello").await?;
    ///
    /// // Bob's side: who it is comes before what they say.
    /// let mut told = Vec::new();
    /// while told.len() < 2 {
    ///     match events.next().await.expect("the client lives") {
    ///         ClientEvent::MemberJoined { user_id, .. } => told.push(format!("{user_id} joined")),
    ///         ClientEvent::ChannelMessage { from, .. } => told.push(format!("{from} spoke")),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(told, ["alice joined", "alice spoke"]);
    /// lobby.leave().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn join(&self) -> Result<(), JoinError> {
        self.client
            .call(Call::Join {
                channel: self.name.clone(),
            })
            .await?;
        Ok(())
    }

    /// Leaves. Others see it at once. A join under way is given up.
    ///
    /// # Errors
    /// [`LeaveError`]; code 3 when not joined.
    pub async fn leave(&self) -> Result<(), LeaveError> {
        self.client
            .call(Call::Leave {
                channel: self.name.clone(),
            })
            .await?;
        Ok(())
    }

    /// Sends a message, at most 32 KB, to every other member.
    ///
    /// # Errors
    /// [`ChannelMessageError`]; code 5 when not joined.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), ChannelMessageError> {
        self.send_with(message, SendOptions::new()).await
    }

    /// Sends a message with options; offline storage does not apply to channels.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn send_with(
        &self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> Result<(), ChannelMessageError> {
        let call = Call::SendToChannel {
            channel: self.name.clone(),
            message: message.into(),
            history: options.keeps_history(),
        };
        self.client.call(call).await?;
        Ok(())
    }

    /// Lists the members, oneself included; above 512 a random 512.
    ///
    /// # Errors
    /// [`GetMembersError`]; code 5 when not joined.
    pub async fn members(&self) -> Result<Vec<String>, GetMembersError> {
        match self
            .client
            .call(Call::GetMembers {
                channel: self.name.clone(),
            })
            .await?
        {
            Answer::Users(users) => Ok(users),
            _ => Err(unexpected().into()),
        }
    }

    /// Reads messages that were sent with [`SendOptions::history`], oldest or newest first; the
    /// channel must be joined. An extension of ours: the RTM 1.x SDKs have no such method.
    ///
    /// # Errors
    /// [`ChannelMessageError`]; code 5 when not joined.
    pub async fn history(&self, range: HistoryRange) -> Result<HistoryPage, ChannelMessageError> {
        let call = Call::ReadHistory {
            conversation: Conversation::Channel(self.name.clone()),
            range,
        };
        match self.client.call(call).await? {
            Answer::History(page) => Ok(page),
            _ => Err(unexpected().into()),
        }
    }

    /// Changes the channel's attributes; it need not be joined.
    ///
    /// `Delete` looks at the keys only, `Clear` at nothing.
    ///
    /// # Errors
    /// [`AttributeError`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = serve();
    /// use tidings_client::{Attribute, AttributeWrite, Notify};
    ///
    /// # let (alice, _events) = server.client("alice").await;
    /// let lobby = alice.channel("lobby");
    /// lobby.join().await?;
    /// let topic = Attribute::new("topic", "weather");
    /// lobby.write_attributes(AttributeWrite::Merge, [topic], Notify::Members).await?;
    /// let read = lobby.read_attributes(["topic"]).await?;
    /// assert_eq!((&*read[0].value, &*read[0].updated_by), ("weather", "alice"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_attributes(
        &self,
        how: AttributeWrite,
        attributes: impl IntoIterator<Item = Attribute>,
        notify: Notify,
    ) -> Result<(), AttributeError> {
        let call = Call::WriteChannelAttributes {
            channel: self.name.clone(),
            how,
            attributes: attributes.into_iter().collect(),
            notify: notify == Notify::Members,
        };
        self.client.call(call).await?;
        Ok(())
    }

    /// Reads the channel's attributes; no keys means all. It need not be joined.
    ///
    /// # Errors
    /// [`AttributeError`].
    pub async fn read_attributes<N: Into<String>>(
        &self,
        keys: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Attribute>, AttributeError> {
        let call = Call::ReadChannelAttributes {
            channel: self.name.clone(),
            keys: owned(keys),
        };
        match self.client.call(call).await? {
            Answer::Attributes(attributes) => Ok(attributes),
            _ => Err(unexpected().into()),
        }
    }
}
