//! Call invitations: what a client does with them. What becomes of them is told by events.

use tidings_client_core::{Answer, Call, InvitationCall, InvitationId};

use crate::client::{Client, unexpected};
use crate::error::InvitationError;

impl Client {
    /// Invites a user to a call. Returns the number under which its events come.
    ///
    /// What becomes of it, a refusal of the server's too, is told by
    /// [`ClientEvent::LocalInvitation`](crate::ClientEvent::LocalInvitation).
    ///
    /// # Errors
    /// [`InvitationError`]: code 1 for wrong arguments, 102 when the client is not logged in.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = serve();
    /// use tidings_client::{ClientEvent, LocalInvitationNews, RemoteInvitationNews};
    ///
    /// # let (alice, mut events) = server.client("alice").await;
    /// # let (bob, mut calls) = server.client("bob").await;
    /// let ours = alice.invite("bob", "shall we talk?", None).await?;
    ///
    /// // Bob's side.
    /// let id = loop {
    ///     if let Some(ClientEvent::RemoteInvitation { id, news, .. }) = calls.next().await
    ///         && matches!(news, RemoteInvitationNews::Received { .. })
    ///     {
    ///         break id;
    ///     }
    /// };
    /// bob.accept_invitation(&id, "with pleasure").await?;
    ///
    /// // Alice's again.
    /// let response = loop {
    ///     if let Some(ClientEvent::LocalInvitation { number, news, .. }) = events.next().await
    ///         && let (true, LocalInvitationNews::Accepted(response)) = (number == ours, news)
    ///     {
    ///         break response;
    ///     }
    /// };
    /// assert_eq!(response, "with pleasure");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invite(
        &self,
        callee_id: &str,
        content: impl Into<String>,
        channel: Option<&str>,
    ) -> Result<u64, InvitationError> {
        let call = InvitationCall::Invite {
            callee_id: callee_id.to_owned(),
            content: content.into(),
            channel: channel.unwrap_or_default().to_owned(),
        };
        match self.call(Call::Invitation(call)).await? {
            Answer::Invited { number } => Ok(number),
            _ => Err(unexpected().into()),
        }
    }

    /// Takes an invitation back: it counts as cancelled at once, and cannot be accepted any more.
    ///
    /// # Errors
    /// [`InvitationError`]: code 2, 3 or 4 when it was not sent, has ended, or is being accepted.
    pub async fn cancel_invitation(&self, number: u64) -> Result<(), InvitationError> {
        let call = InvitationCall::Cancel { number };
        self.call(Call::Invitation(call)).await?;
        Ok(())
    }

    /// Accepts an invitation. It counts once the event `Accepted` has come.
    ///
    /// # Errors
    /// [`InvitationError`]: code 3 or 4 when it has ended or was accepted before.
    pub async fn accept_invitation(
        &self,
        id: &InvitationId,
        response: impl Into<String>,
    ) -> Result<(), InvitationError> {
        let (id, response) = (id.clone(), response.into());
        self.call(Call::Invitation(InvitationCall::Accept { id, response }))
            .await?;
        Ok(())
    }

    /// Refuses an invitation, for good.
    ///
    /// # Errors
    /// [`InvitationError`]: code 3 or 4 when it has ended or was accepted before.
    pub async fn refuse_invitation(
        &self,
        id: &InvitationId,
        response: impl Into<String>,
    ) -> Result<(), InvitationError> {
        let (id, response) = (id.clone(), response.into());
        self.call(Call::Invitation(InvitationCall::Refuse { id, response }))
            .await?;
        Ok(())
    }
}
