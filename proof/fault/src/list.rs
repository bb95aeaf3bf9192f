//! The faults by name, each with the sentence that says what is broken.

macro_rules! faults {
    ($(#[doc = $what:literal] $name:ident,)*) => {
        /// A deliberate fault: one place of the product's code that misbehaves when it is switched
        /// on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $what] $name,)*
        }

        impl Fault {
            /// Every fault, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, as in [`fault!`](crate::fault) and on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What is broken: a sentence.
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what.trim_ascii(),)*
                }
            }
        }
    };
}

faults! {
    /// A resume forgets the number of the last executed request, which is then executed again.
    ResumeForgetsLastRequest,
    /// A resume reports one request more than was executed, so that one is never sent.
    ResumeSkipsARequest,
    /// A reply is not kept while its session has no connection.
    ReplyIsLostWhileAway,
    /// The replay of a resume begins one frame too late.
    ReplayBeginsLate,
    /// The replay of a resume begins one frame too early.
    ReplayBeginsEarly,
    /// Frames that the outbox has dropped are skipped without a gap.
    DroppedFramesLeaveNoGap,
    /// A lost session is not reported as a gap.
    LostSessionLeavesNoGap,
    /// A peer message is acknowledged as stored before it is durable.
    StoredIsAnsweredEarly,
    /// Every peer message is stored, asked for or not.
    EveryMessageIsStored,
    /// Live messages do not wait behind stored ones.
    LiveOvertakesStored,
    /// Stored messages are deleted when they are handed over, not when they are confirmed.
    StoredIsDeletedUnconfirmed,
    /// The client does not recognise repeated messages.
    ClientTakesRepeats,
    /// A peer message counts as received when it is written.
    WrittenCountsAsReceived,
    /// A message that was reported to its sender as dropped stays in the outbox.
    DroppedMessageStays,
    /// The user is gone after a quarter of the grace.
    GraceIsCutShort,
    /// A user who is gone stays a member.
    GoneUserStaysMember,
    /// A user who has logged out stays a member.
    LogoutStaysMember,
    /// A second login announces the user as offline and drops its attributes.
    SecondLoginEndsPresence,
    /// A second login leaves the first in service.
    FirstLoginStaysInService,
    /// A user who has left a channel still gets its messages.
    LeaverStaysSubscribed,
    /// Members on the sender's hub see a message before it has its place in the order.
    OwnHubSeesMessageEarly,
    /// The router forgets the third hub of a topic.
    RouterForgetsThirdHub,
    /// A member count that has to wait is never sent.
    DelayedCountIsNeverSent,
    /// Attribute changes are announced in the order of arrival, not of the store.
    AttributesInOrderOfArrival,
    /// A merge of attributes starts from an empty set.
    MergeBeginsFromNothing,
    /// A user's attributes stay when its session ends.
    AttributesOutliveSession,
    /// The client does not restore its attributes in a new session.
    AttributesAreNotRestored,
    /// An acceptance is recorded without asking the caller's client.
    AcceptanceIsNotAgreed,
    /// The callee is not notified of a cancellation.
    CancellationIsNotSent,
    /// An invitation rings each time it is offered, because the client does not recognise it.
    EveryOfferRings,
    /// An invitation expires after half its time.
    InvitationExpiresEarly,
    /// The caller's client cancels what it has confirmed.
    ConfirmedIsCanceled,
    /// An invitation has no deadline.
    InvitationNeverExpires,
    /// The client does not join its channels again in a new session.
    ChannelsAreNotRestored,
    /// The client does not report who joined while it was disconnected.
    ArrivalsInAHoleAreNotTold,
    /// The client gives members no time to return after a restart.
    MembersGetNoTimeToReturn,
    /// A later message to the same peer does not wait until an earlier one is stored.
    LaterMessageOvertakesStoring,
    /// A call of the client has no time limit.
    CallNeverTimesOut,
    /// The client is connected without having been connecting.
    ConnectedWithoutConnecting,
    /// A session is over after half the resume window.
    ResumeWindowIsHalved,
    /// A kept channel message is answered before it is in the history.
    KeptIsAnsweredEarly,
    /// Session ids do not come from the seed.
    SessionIdsAreUnseeded,
    /// Messages that a full inbox drops are not counted.
    OverflowIsNotCounted,
    /// The app is left out of a user's key.
    UserKeyLacksApp,
    /// Rates are not limited.
    RatesAreNotLimited,
    /// Leaves of members are not announced.
    LeaversAreNotTold,
    /// Joins of members are not announced.
    JoinersAreNotTold,
    /// Of repeated requests, only the last two are recognised.
    OldRepeatsAreForgotten,
    /// A request's number is kept when it is answered, not when it is executed.
    RequestIsMarkedAtItsAnswer,
    /// A page of stored messages begins one message too late.
    StoredPageBeginsLate,
    /// A session's older connection stays in service.
    OlderConnectionStays,
    /// A request before login is executed, for an arbitrary session.
    RequestBeforeLoginIsExecuted,
    /// Every token is accepted.
    EveryTokenIsGood,
    /// A session outlives its token.
    SessionOutlivesToken,
    /// The secret of a resume is not compared.
    ResumeSecretIsNotCompared,
    /// A sender need not be a member.
    SenderNeedNotBeMember,
    /// A reader of a channel's history need not be a member.
    HistoryReaderNeedNotBeMember,
    /// Anybody who knows its id can accept an invitation.
    AnyoneMayAccept,
    /// Checksums are not compared.
    ChecksumsAreNotCompared,
    /// A store that once ran out of space never accepts writes again.
    FullDiskIsForEver,
    /// A disk error is answered as success.
    DiskErrorIsSuccess,
    /// A group is written in two halves.
    GroupIsWrittenInHalves,
    /// What was confirmed stays in the inbox.
    ConfirmedStaysInInbox,
    /// An outbox has no bound.
    OutboxHasNoBound,
    /// The calls that wait in a client have no bound.
    WaitingCallsHaveNoBound,
    /// A fan-out ends at a member whose outbox is full.
    FullOutboxEndsFanOut,
    /// All users share the rates of one.
    UsersShareRates,
    /// A client's waits between attempts grow to the hundredfold.
    BackoffGrowsHundredfold,
    /// A client that has everything cannot resume (`<` for `<=`).
    CompleteClientCannotResume,
    /// A gap comes after the event behind it.
    GapComesLate,
    /// Stamps go back with the wall clock.
    StampsGoBack,
    /// Messages that look too old by a clock that has jumped are deleted.
    JumpedClockExpiresMessages,
    /// The hub panics.
    HubPanics,
    /// A join is announced twice.
    JoinIsToldTwice,
    /// In a new session, a client repeats requests that were not answered.
    UnansweredIsSentAgain,
    /// A client does not forget an invitation that has ended.
    EndedInvitationIsKept,
    /// A client that was away beyond the window reports that the server lost the session.
    LongAbsenceIsServerLoss,
    /// A message keeps the stamp of its sender's hub, whatever came before it.
    StampIgnoresEarlierOnes,
    /// A session never ends after its resume window.
    SessionNeverEnds,
    /// The client compares the ids of messages only, not the numbers of the inbox.
    InboxNumbersAreNotCompared,
    /// The client does not ask for the members in a new session.
    MembersAreNotAskedAgain,
    /// A hub does not answer questions about its members.
    ResyncIsNotAnswered,
    /// Changes found in a snapshot of members are not announced.
    SnapshotChangesAreNotTold,
    /// A replay leaves out replies.
    ReplayLeavesOutReplies,
    /// The grace begins when the loss is noticed.
    GraceBeginsAtNotice,
    /// A second login forgets that there are attributes to end with it.
    SecondLoginForgetsAttributes,
    /// Confirmed replies count as unconfirmed.
    ConfirmedRepliesCountAsOwed,
    /// Messages that wait for a login in progress are forgotten.
    WaitingForLoginIsForgotten,
    /// The last stored message that was confirmed stays.
    LastConfirmedStoredStays,
    /// What was confirmed while the store was keeping it is kept.
    ConfirmedWhileStoringIsKept,
    /// The confirmation of the live form leaves the stored one.
    LiveConfirmationLeavesStored,
    /// A receiver who logs in during a store write is not notified of the stored message.
    NewLoginIsNotToldOfStored,
    /// Member counts are sent at every change.
    CountsAreSentAtEveryChange,
    /// The revision of attributes does not rise.
    RevisionDoesNotRise,
    /// A kept channel message is appended twice.
    KeptIsAppendedTwice,
    /// The app is left out of the store's keys.
    StoreKeyLacksApp,
    /// Renewing a token keeps the expiry of the old one.
    RenewalKeepsOldEnd,
    /// Changes of watched users while a client was disconnected are not reported.
    WatchedChangesAreNotTold,
    /// The caller is not notified that the callee's session has ended.
    CallerIsNotToldOfCalleesEnd,
    /// A session's presence subscriptions outlive it.
    WatchOutlivesSession,
    /// Messages that a user left unconfirmed are not handed back.
    UnconfirmedIsNotGivenBack,
    /// A user who returns does not get what was stored in the meantime.
    ReturnedUserMissesStored,
    /// A replaced login is not notified.
    ReplacedLoginIsNotTold,
    /// A login that replaces another does not get what that one had not confirmed.
    ReplacingLoginMissesUnconfirmed,
    /// A client that stays far above its rates is never disconnected.
    FlooderIsNotSentAway,
    /// A hub that must free memory keeps everything.
    HubKeepsItsMemory,
    /// There is no bound for all sessions together, only for each.
    SessionsHaveNoCommonBound,
    /// Logins are accepted although memory is short.
    LoginsIgnoreShortMemory,
    /// The sessions that were disconnected last lose their buffers first.
    LatestAbsenceIsDroppedFirst,
    /// An invitation is announced before its record is durable.
    InvitationIsToldBeforeDurable,
    /// Invitations are not read after a restart.
    InvitationsAreNotReadAtStart,
    /// A restart resets the deadlines of invitations.
    RestartExtendsDeadlines,
    /// What follows a message is asked for before that one has been found at a session.
    MessagesAreAskedForOutOfOrder,
    /// A login resets the rates of its user.
    LoginResetsRates,
    /// A user who was disconnected for its rates may return at once.
    FlooderMayReturnAtOnce,
    /// A snapshot forgets the last frame that was not confirmed.
    SnapshotForgetsLastFrame,
    /// A snapshot forgets the last request that was executed.
    SnapshotForgetsLastRequest,
    /// A snapshot forgets memberships.
    SnapshotForgetsMemberships,
    /// The end of a session is not reported to the stream of events.
    LogoutIsNoEvent,
    /// A started server does not compare open logins with its sessions: a crash leaves logins without a logout.
    CrashLeavesLoginsOpen,
    /// A login that is open already is an event once more.
    KnownLoginIsNews,
    /// The order number of a user or a channel does not rise.
    EventOrderStandsStill,
    /// What was taken out of a queue of events stays in it.
    TakenEventStaysQueued,
    /// A node does not check that an envelope was made with the cluster's key.
    MacIsNotChecked,
    /// A node does not compare an envelope's topic with its subject.
    TopicIsNotCompared,
    /// A hole in what another node has published is not told.
    HoleIsNotTold,
    /// The last number of a topic is not repeated after its last publication.
    MarkIsForgotten,
    /// A node that becomes interested in a topic does not say so.
    HelloIsForgotten,
    /// A node that is interested in a topic does not answer hello.
    HelloIsNotAnswered,
    /// A lost node still counts as interested.
    LostNodesInterestIsKept,
    /// A node does not take over the time that it hears from others.
    ClockIsNotMerged,
    /// A question that has met no answer in time counts as one to nobody.
    SilenceIsNobody,
    /// A topic counts as settled when its subscription is sent.
    SettledTooEarly,
    /// What arrives a second time is delivered a second time.
    RepeatedIsDelivered,
    /// What precedes the first publication that arrives of a new run is not missed.
    RunIsForgotten,
    /// Of an answer's sum of hubs nothing is passed on.
    AnswerSumIsIgnored,
    /// A heartbeat that was lost is not noticed.
    LostHeartbeatIsIgnored,
}
