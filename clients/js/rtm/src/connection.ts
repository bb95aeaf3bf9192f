/** What client, channels and invitations share: the shell, and calls with the family's errors. */
import { type Call, type CallAnswer, type Family, type Shell } from '@tidings/core';
import { fromCall, notLoggedIn } from './errors.js';

type AnswerOf<Is extends CallAnswer['is']> = Extract<CallAnswer, { is: Is }>['value'];

export class Connection {
  constructor(readonly shell: Shell) {}

  /** Throws 102 unless the client is logged in; `what` is the method's name. */
  checkLogin(what: string): void {
    if (!this.shell.takesCalls) throw notLoggedIn(what, this.shell.state);
  }

  /** Makes a call whose answer is of one kind. Rejects with an error of the family. */
  async call<Is extends CallAnswer['is']>(
    what: string,
    family: Family,
    call: Call,
    expected: Is,
  ): Promise<AnswerOf<Is>> {
    let answer: CallAnswer;
    try {
      answer = await this.shell.call(call);
    } catch (error) {
      throw fromCall(error, family, what);
    }
    if (answer.is !== expected) {
      throw new TypeError(`${what}: the server answered with ${answer.is} instead of ${expected}`);
    }
    return answer.value as AnswerOf<Is>;
  }
}
