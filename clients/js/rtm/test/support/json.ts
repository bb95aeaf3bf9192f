/** Decoded messages in the canonical JSON mapping of proto3, as the vectors have them. */
import { INVITATION_ENDS } from '@tidings/core/wire';

/** Enums by message and field. */
const ENUMS: Readonly<Record<string, readonly string[]>> = {
  how: ['SET', 'MERGE', 'DELETE', 'CLEAR'].map((name) => `ATTRIBUTE_WRITE_${name}`),
  end: INVITATION_ENDS.map((name) => `INVITATION_END_${name.toUpperCase()}`),
  state: ['OFFLINE', 'ONLINE', 'UNREACHABLE'].map((name) => `PRESENCE_STATE_${name}`),
  cause: [
    'UNSPECIFIED',
    'BUFFER_OVERFLOW',
    'RESUME_WINDOW',
    'NODE_LOST',
    'EPOCH_CHANGED',
    'SLOW_CONSUMER',
    'INBOX_OVERFLOW',
    'INBOX_EXPIRED',
    'RATE_LIMITED',
    'STORAGE_DAMAGE',
    'NODE_LINK',
  ].map((name) => `GAP_CAUSE_${name}`),
};
/** uint64 fields are written as strings. */
const LONG = [
  'confirm',
  'cseq',
  'number',
  'updatedTs',
  'serverTs',
  'inbox',
  'missed',
  'expiresTs',
  'after',
  'before',
  'fromTs',
  'untilTs',
  'position',
  'next',
  'size',
];
const ONEOFS = ['kind', 'conversation', 'call', 'body', 'result', 'source'];

/** `type`: the name of the message, or of the field that it is in. */
export function toJson(type: string, value: object): unknown {
  const json: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value) as [string, unknown][]) {
    if (ONEOFS.includes(name)) {
      const chosen = field as { is: string; value: unknown } | undefined;
      if (chosen) json[chosen.is] = single(type, chosen.is, chosen.value);
    } else if (!isDefault(field)) {
      json[name] = single(type, name, field);
    }
  }
  return json;
}

function single(type: string, name: string, field: unknown): unknown {
  if (field instanceof Uint8Array) return Buffer.from(field).toString('base64');
  if (Array.isArray(field)) return field.map((entry: unknown) => single(type, name, entry));
  if (typeof field === 'object' && field !== null) return toJson(name, field);
  if (typeof field !== 'number') return field;
  if (LONG.includes(name) || (name === 'count' && type === 'skip')) return String(field);
  return ENUMS[name]?.[field] ?? field;
}

function isDefault(field: unknown): boolean {
  if (field instanceof Uint8Array || Array.isArray(field)) return field.length === 0;
  return field === undefined || field === '' || field === 0 || field === false;
}
