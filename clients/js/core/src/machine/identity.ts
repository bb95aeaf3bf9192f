/** Who the client is to the server: user, token, and the session with its secret. */
import type { In } from '../wire/codec.js';
import type { ClientMessage, Resumed, Welcome } from '../wire/messages.js';
import type { OpenInvitations } from './invitations.js';

type OpenReport = ReturnType<OpenInvitations['report']>;
type Greeting = NonNullable<In<typeof ClientMessage>['kind']>;

export class Identity {
  userId = '';
  /** The token that the server has accepted last. */
  #token = '';
  /** The token of the greeting under way. */
  #offered = '';
  /**
   * The application's newest token, as long as no server has accepted or refused it: it is offered
   * until then.
   */
  handed: string | undefined;
  /** The secret is replaced at each resume. */
  #session: { readonly id: Uint8Array; secret: Uint8Array } | undefined;

  constructor(
    private readonly appId: string,
    private readonly client: string,
  ) {}

  get token(): string {
    return this.#token;
  }

  get hasSession(): boolean {
    return this.#session !== undefined;
  }

  /** A login of the application begins; true if the user is not the same as before. */
  beginLogin(userId: string, token: string): boolean {
    const isOther = userId !== this.userId;
    this.userId = userId;
    this.#token = token;
    this.handed = undefined;
    return isOther;
  }

  /** What a connection begins with. */
  greeting(confirm: number, invitations: OpenReport): Greeting {
    const { appId, client, userId } = this;
    this.#offered = this.handed ?? this.#token;
    if (!this.#session)
      return { is: 'login', value: { appId, userId, token: this.#offered, client, invitations } };
    const { id: sessionId, secret } = this.#session;
    const token = this.#offered === this.#token ? '' : this.#offered;
    return { is: 'resume', value: { appId, userId, sessionId, secret, confirm, token } };
  }

  welcomed(welcome: Welcome): void {
    this.#session = { id: welcome.sessionId, secret: welcome.secret };
    this.judged(this.#offered, true);
  }

  resumed(resumed: Resumed): void {
    if (this.#session && resumed.secret.length > 0) this.#session.secret = resumed.secret;
    this.judged(this.#offered, true);
  }

  /** The server has accepted or refused a token. */
  judged(token: string | undefined, isGood: boolean): void {
    if (isGood) this.#token = token ?? '';
    if (this.handed === token) this.handed = undefined;
  }

  /** The server has refused the token of the greeting. */
  refused(): void {
    this.judged(this.#offered, false);
  }

  /** Returns the id of the session that has ended. */
  endSession(): Uint8Array | undefined {
    const id = this.#session?.id;
    this.#session = undefined;
    return id;
  }
}
