/** Makes login tokens where the app's certificate is known, without a call to the server. */
import { createHmac, randomInt } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { TidingsError } from './errors';

/** The service of the format that lets a user log in, and its one privilege. */
const SERVICE_RTM = 2;
const PRIVILEGE_LOGIN = 1;
const SALT_MAX = 99_999_999;
const BYTES_MAX = 65_535;

export interface TokenInput {
  /** 32 hexadecimal characters. */
  app: string;
  /** 32 hexadecimal characters: the secret, which stays in the backend. */
  certificate: string;
  user: string;
  /** Seconds until it ends, a day at most; an hour if not stated. */
  ttl?: number;
  /** Unix seconds; now if not stated. */
  issuedAt?: number;
  /** 1 to 99,999,999; random if not stated. */
  salt?: number;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  if (bytes.length > BYTES_MAX)
    throw new TidingsError(
      `a text of ${bytes.length} bytes`,
      'invalid_argument',
      'Use a shorter user id.',
    );
  return Buffer.concat([u16(bytes.length), bytes]);
}

const hmac = (key: Uint8Array, message: Uint8Array): Buffer =>
  createHmac('sha256', key).update(message).digest();

/** A token of format 007: `user` may log in to `app` for `ttl` seconds. */
export function buildToken(input: TokenInput): string {
  const { app, certificate, user, ttl = 3600 } = input;
  for (const [name, value] of Object.entries({ app, certificate })) {
    if (!/^[0-9a-fA-F]{32}$/.test(value)) {
      throw new TidingsError(
        `\`${name}\` is not 32 hexadecimal characters`,
        'invalid_argument',
        'Copy it from `tidings app show`.',
      );
    }
  }
  if (user === '')
    throw new TidingsError(
      'the user id is empty',
      'invalid_argument',
      'Name the user who will log in.',
    );
  if (!Number.isInteger(ttl) || ttl < 1 || ttl > 86_400) {
    throw new TidingsError(
      `\`ttl\` is ${ttl}`,
      'invalid_argument',
      'Use whole seconds from 1 to 86400.',
    );
  }
  const issuedAt = u32(input.issuedAt ?? Math.floor(Date.now() / 1000));
  const salt = u32(input.salt ?? randomInt(1, SALT_MAX + 1));
  const service = Buffer.concat([
    u16(SERVICE_RTM),
    u16(1),
    u16(PRIVILEGE_LOGIN),
    u32(ttl),
    text(user),
  ]);
  const info = Buffer.concat([text(app), issuedAt, u32(ttl), salt, u16(1), service]);
  // The public numbers are the keys here, and the secret is the message: so the format wants it.
  const signature = hmac(hmac(salt, hmac(issuedAt, Buffer.from(certificate))), info);
  const content = Buffer.concat([u16(signature.length), signature, info]);
  return `007${deflateSync(content).toString('base64')}`;
}
