/** What a session has of the outside world. */
import { type Socket, type SocketEvents, open } from './socket.js';

/** Given to a session, so that tests own its time, its chance and its network. */
export interface Environment {
  /** The time, in milliseconds since 1970. */
  now(): number;
  /** A number from 0 to below 1. */
  random(): number;
  setTimer(run: () => void, afterMs: number): unknown;
  clearTimer(timer: unknown): void;
  open(url: string, events: SocketEvents): Socket;
}

/** The platform's own. Nothing of it is touched before a session is made. */
export const PLATFORM: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  setTimer: (run, afterMs) => setTimeout(run, afterMs),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  open,
};
