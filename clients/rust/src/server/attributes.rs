//! Attributes of users and channels.

use std::collections::BTreeMap;

use super::Tidings;
use super::error::Error;
use super::transport::Method;

impl Tidings {
    /// All attributes of a user.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn user_attributes(&self, user: &str) -> Result<BTreeMap<String, String>, Error> {
        self.attributes(Method::GET, "users", user, None, None)
            .await
    }

    /// Replaces all attributes of a user.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn set_user_attributes(
        &self,
        user: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let done = self.attributes(Method::PUT, "users", user, Some(attributes), None);
        done.await.map(drop)
    }

    /// Adds attributes of a user, or changes them; the others stay.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn update_user_attributes(
        &self,
        user: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let done = self.attributes(Method::PATCH, "users", user, Some(attributes), None);
        done.await.map(drop)
    }

    /// Deletes these attributes of a user; with `None`, all of them.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn delete_user_attributes(
        &self,
        user: &str,
        keys: Option<&[&str]>,
    ) -> Result<(), Error> {
        let done = self.attributes(Method::DELETE, "users", user, None, keys);
        done.await.map(drop)
    }

    /// All attributes of a channel.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn channel_attributes(
        &self,
        channel: &str,
    ) -> Result<BTreeMap<String, String>, Error> {
        self.attributes(Method::GET, "channels", channel, None, None)
            .await
    }

    /// Replaces all attributes of a channel.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn set_channel_attributes(
        &self,
        channel: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let done = self.attributes(Method::PUT, "channels", channel, Some(attributes), None);
        done.await.map(drop)
    }

    /// Adds attributes of a channel, or changes them; the others stay.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn update_channel_attributes(
        &self,
        channel: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let done = self.attributes(Method::PATCH, "channels", channel, Some(attributes), None);
        done.await.map(drop)
    }

    /// Deletes these attributes of a channel; with `None`, all of them.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn delete_channel_attributes(
        &self,
        channel: &str,
        keys: Option<&[&str]>,
    ) -> Result<(), Error> {
        let done = self.attributes(Method::DELETE, "channels", channel, None, keys);
        done.await.map(drop)
    }
}
