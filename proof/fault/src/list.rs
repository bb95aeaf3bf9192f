//! The faults by name, each with the sentence that says what is broken.

macro_rules! faults {
    ($(#[doc = $what:literal] $name:ident,)*) => {
        /// A deliberate fault: one place of the product's code that goes wrong when it is switched on.
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
    /// The number of the last executed request is forgotten at a resume, so that it is executed again.
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
    /// A lost session is not told as a gap.
    LostSessionLeavesNoGap,
    /// A peer message is answered as stored before it is durable.
    StoredIsAnsweredEarly,
    /// Every peer message is stored, asked for or not.
    EveryMessageIsStored,
    /// Live messages do not wait behind stored ones.
    LiveOvertakesStored,
    /// Stored messages are deleted when they are handed over, not when they are confirmed.
    StoredIsDeletedUnconfirmed,
    /// The client does not know messages again.
    ClientTakesRepeats,
    /// A peer message counts as received when it is written.
    WrittenCountsAsReceived,
    /// A message that its sender was told is dropped stays in the outbox.
    DroppedMessageStays,
    /// The user is gone after a quarter of the grace.
    GraceIsCutShort,
    /// A user who is gone stays a member.
    GoneUserStaysMember,
    /// A user who has logged out stays a member.
    LogoutStaysMember,
    /// A second login tells that the user is off line and drops its attributes.
    SecondLoginEndsPresence,
    /// A second login leaves the first in service.
    FirstLoginStaysInService,
    /// Whoever has left a channel still gets its messages.
    LeaverStaysSubscribed,
    /// Members on the sender's hub see a message before it has its place in the order.
    OwnHubSeesMessageEarly,
    /// The router forgets the third hub of a topic.
    RouterForgetsThirdHub,
    /// A member count that has to wait is never told.
    DelayedCountIsNeverSent,
    /// Attributes are told in the order of arrival, not of the store.
    AttributesInOrderOfArrival,
    /// A merge of attributes begins from nothing.
    MergeBeginsFromNothing,
    /// A user's attributes stay when its session ends.
    AttributesOutliveSession,
    /// The client does not bring its attributes back in a new session.
    AttributesAreNotRestored,
    /// An acceptance is recorded without asking the caller's client.
    AcceptanceIsNotAgreed,
    /// The callee is not told of a cancellation.
    CancellationIsNotSent,
    /// An invitation rings each time it is offered, and the client does not know it again.
    EveryOfferRings,
    /// An invitation expires after half its time.
    InvitationExpiresEarly,
    /// The caller's client cancels what it has confirmed.
    ConfirmedIsCanceled,
    /// An invitation has no deadline.
    InvitationNeverExpires,
    /// The client does not join its channels again in a new session.
    ChannelsAreNotRestored,
    /// The client does not tell who has come during a hole.
    ArrivalsInAHoleAreNotTold,
    /// The client gives members no time to come back after a restart.
    MembersGetNoTimeToReturn,
    /// A later message to the same peer does not wait for the storing of an earlier one.
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
    /// What an inbox drops for want of room is not counted.
    OverflowIsNotCounted,
    /// The app is left out of a user's key.
    UserKeyLacksApp,
    /// Rates are not limited.
    RatesAreNotLimited,
    /// Leaving members are not told.
    LeaversAreNotTold,
    /// Joining members are not told.
    JoinersAreNotTold,
    /// Of requests that come again, only the last two are known.
    OldRepeatsAreForgotten,
    /// A request's number is kept when it is answered, not when it is executed.
    RequestIsMarkedAtItsAnswer,
    /// A page of stored messages begins one message too late.
    StoredPageBeginsLate,
    /// A session's older connection stays in service.
    OlderConnectionStays,
    /// A request is executed before a login, for whoever is there.
    RequestBeforeLoginIsExecuted,
    /// Every token is good.
    EveryTokenIsGood,
    /// A session outlives its token.
    SessionOutlivesToken,
    /// The secret of a resume is not compared.
    ResumeSecretIsNotCompared,
    /// A sender need not be a member.
    SenderNeedNotBeMember,
    /// A reader of a channel's history need not be a member.
    HistoryReaderNeedNotBeMember,
    /// Whoever knows its id accepts an invitation.
    AnyoneMayAccept,
    /// Checksums are not compared.
    ChecksumsAreNotCompared,
    /// A store that had no space takes nothing any more.
    FullDiskIsForEver,
    /// An error of the disk is answered as success.
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
    /// What is too old by a clock that has jumped is deleted.
    JumpedClockExpiresMessages,
    /// The hub panics.
    HubPanics,
    /// A joining is told twice.
    JoinIsToldTwice,
    /// A client sends what was not answered again in a new session.
    UnansweredIsSentAgain,
    /// A client does not forget an invitation that has ended.
    EndedInvitationIsKept,
    /// A client that was away beyond the window says that the server was lost.
    LongAbsenceIsServerLoss,
    /// A message keeps the stamp of its sender's hub, whatever came before it.
    StampIgnoresEarlierOnes,
    /// A session never ends after its resume window.
    SessionNeverEnds,
    /// The client compares the ids of messages only, not the numbers of the inbox.
    InboxNumbersAreNotCompared,
    /// The client does not ask who is there in a new session.
    MembersAreNotAskedAgain,
    /// A hub does not answer who asks for its members.
    ResyncIsNotAnswered,
    /// What has changed in a snapshot of members is not told.
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
    /// A receiver who has logged in meanwhile is not told of what was stored.
    NewLoginIsNotToldOfStored,
    /// Counts of members are told at every change.
    CountsAreSentAtEveryChange,
    /// The revision of attributes does not rise.
    RevisionDoesNotRise,
    /// A kept channel message is appended twice.
    KeptIsAppendedTwice,
    /// The app is left out of the store's keys.
    StoreKeyLacksApp,
    /// A renewed token leaves the end of the old one.
    RenewalKeepsOldEnd,
    /// What has changed of watched users during a hole is not told.
    WatchedChangesAreNotTold,
    /// The caller is not told that the callee's session is over.
    CallerIsNotToldOfCalleesEnd,
    /// What a session watches outlives it.
    WatchOutlivesSession,
    /// What a gone user has not confirmed is not given back.
    UnconfirmedIsNotGivenBack,
    /// A user who is back is not given what was stored meanwhile.
    ReturnedUserMissesStored,
    /// A login that was replaced is not told so.
    ReplacedLoginIsNotTold,
    /// A login that replaces another does not get what that had not confirmed.
    ReplacingLoginMissesUnconfirmed,
    /// A client that stays far above its rates is never sent away.
    FlooderIsNotSentAway,
    /// A hub that is told to free memory keeps everything.
    HubKeepsItsMemory,
    /// All sessions together have no bound, only each for itself.
    SessionsHaveNoCommonBound,
    /// Logins are let in although memory is short.
    LoginsIgnoreShortMemory,
    /// Who has been away for the shortest time loses its buffer first.
    LatestAbsenceIsDroppedFirst,
    /// An invitation is told before its record is durable.
    InvitationIsToldBeforeDurable,
    /// Invitations are not read after a restart.
    InvitationsAreNotReadAtStart,
    /// A restart begins the deadlines of invitations anew.
    RestartExtendsDeadlines,
    /// What follows a message is asked for before that one has been found at a session.
    MessagesAreAskedForOutOfOrder,
    /// A login begins the rates of its user anew.
    LoginResetsRates,
    /// Who was sent away for its rates may come back at once.
    FlooderMayReturnAtOnce,
    /// A snapshot forgets the last frame that was not confirmed.
    SnapshotForgetsLastFrame,
    /// A snapshot forgets the last request that was executed.
    SnapshotForgetsLastRequest,
    /// A snapshot forgets memberships.
    SnapshotForgetsMemberships,
}
