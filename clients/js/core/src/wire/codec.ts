/**
 * Protobuf (proto3) for the few shapes that `tidings.v1` uses: varints, strings, bytes, messages.
 *
 * A message type is made from a table of its fields; its TypeScript types are inferred from the
 * table, so that the schema stands in one place (`messages.ts`). Unknown fields are skipped, as
 * newer servers may send them. Of a field that comes twice, the last one counts.
 */

import { decodeUtf8, encodeUtf8 } from './utf8.js';

/** Bytes that are not a valid message. */
export class DecodeError extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'DecodeError';
  }
}

function decodeUtf8Strictly(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes, 'fatal');
  } catch {
    throw new DecodeError('a string field is not UTF-8');
  }
}

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/** Reads the fields of one message. */
export class Reader {
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.#at >= this.bytes.length;
  }

  /** An unsigned number; above 2^53 - 1 a DecodeError, as a JavaScript number cannot hold it. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.bytes[this.#at++];
      if (byte === undefined) throw new DecodeError('a number ends early');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw new DecodeError('a number is above 2^53 - 1');
        return value;
      }
      scale *= 128;
    }
    throw new DecodeError('a number ends late');
  }

  /** A view of the following length-delimited bytes. */
  view(): Uint8Array {
    return this.#take(this.varint());
  }

  /** The next field's number and wire type. */
  tag(): { field: number; wire: number } {
    const tag = this.varint();
    const field = Math.floor(tag / 8);
    if (field === 0) throw new DecodeError('a field has the number 0');
    return { field, wire: tag % 8 };
  }

  /** Passes over a field's value. */
  skip(wire: number): void {
    if (wire === WIRE_VARINT) this.#skipVarint();
    else if (wire === WIRE_FIXED64) this.#take(8);
    else if (wire === WIRE_BYTES) this.view();
    else if (wire === WIRE_FIXED32) this.#take(4);
    else throw new DecodeError(`wire type ${wire} is not known`);
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.bytes.length) throw new DecodeError('a field is longer than its message');
    const view = this.bytes.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  #skipVarint(): void {
    for (let count = 0; count < 10; count++) {
      const byte = this.bytes[this.#at++];
      if (byte === undefined) throw new DecodeError('a number ends early');
      if (byte < 0x80) return;
    }
    throw new DecodeError('a number ends late');
  }
}

/** Collects the bytes of one message. */
export class Writer {
  #bytes = new Uint8Array(64);
  #length = 0;

  /** A non-negative whole number up to 2^53 - 1. */
  varint(value: number): this {
    this.#reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  tag(field: number, wire: number): this {
    return this.varint(field * 8 + wire);
  }

  /** Bytes with their length in front. */
  view(bytes: Uint8Array): this {
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/** How one kind of value is written: `Out` is read, `In` may be written. */
export interface Type<Out, In = Out> {
  readonly wire: number;
  zero(): Out;
  read(reader: Reader): Out;
  write(writer: Writer, value: In): void;
  /** Whether a plain field leaves the value out. */
  isZero(value: In): boolean;
}

/** A property of a message object: a plain field, a list, or one of several. */
export interface Field<Out, In = Out> {
  readonly numbers: readonly number[];
  initial(): Out;
  read(reader: Reader, field: number, wire: number, before: Out): Out;
  write(writer: Writer, value: In): void;
}

export const string: Type<string> = {
  wire: WIRE_BYTES,
  zero: () => '',
  read: (reader) => decodeUtf8Strictly(reader.view()),
  write: (writer, value) => void writer.view(encodeUtf8(value)),
  isZero: (value) => value === '',
};

/**
 * Read as a copy, so that a message kept by the application does not keep the whole frame; and not
 * by `slice`, which does not copy when the frame is a Buffer of Node.
 */
export const bytes: Type<Uint8Array> = {
  wire: WIRE_BYTES,
  zero: () => new Uint8Array(0),
  read: (reader) => new Uint8Array(reader.view()),
  write: (writer, value) => void writer.view(value),
  isZero: (value) => value.length === 0,
};

/** uint32, uint64 and enums, up to 2^53 - 1. */
export const uint: Type<number> = {
  wire: WIRE_VARINT,
  zero: () => 0,
  read: (reader) => reader.varint(),
  write: (writer, value) => void writer.varint(value),
  isZero: (value) => value === 0,
};

export const bool: Type<boolean> = {
  wire: WIRE_VARINT,
  zero: () => false,
  read: (reader) => reader.varint() !== 0,
  write: (writer, value) => void writer.varint(value ? 1 : 0),
  isZero: (value) => !value,
};

function expectWire(wire: number, type: { readonly wire: number }, field: number): void {
  if (wire !== type.wire) {
    throw new DecodeError(`field ${field} has wire type ${wire}, expected ${type.wire}`);
  }
}

/** A field that is left out when it has its default value. */
export function one<Out, In>(number: number, type: Type<Out, In>): Field<Out, In> {
  return {
    numbers: [number],
    initial: () => type.zero(),
    read(reader, field, wire) {
      expectWire(wire, type, field);
      return type.read(reader);
    },
    write(writer, value) {
      if (type.isZero(value)) return;
      type.write(writer.tag(number, type.wire), value);
    },
  };
}

/** A message field, `undefined` when it is absent. */
export function maybe<Out, In>(
  number: number,
  type: Type<Out, In>,
): Field<Out | undefined, In | undefined> {
  return {
    numbers: [number],
    initial: () => undefined,
    read(reader, field, wire) {
      expectWire(wire, type, field);
      return type.read(reader);
    },
    write(writer, value) {
      if (value !== undefined) type.write(writer.tag(number, type.wire), value);
    },
  };
}

/** A repeated field of strings or messages. */
export function many<Out, In>(number: number, type: Type<Out, In>): Field<Out[], readonly In[]> {
  return {
    numbers: [number],
    initial: () => [],
    read(reader, field, wire, before) {
      expectWire(wire, type, field);
      before.push(type.read(reader));
      return before;
    },
    write(writer, values) {
      for (const value of values) type.write(writer.tag(number, type.wire), value);
    },
  };
}

type Cases = Record<string, readonly [number, Type<never, never>] | readonly [number, AnyType]>;
// The widest type: every Type<Out, In> is assignable to it, whatever it holds.
interface AnyType {
  readonly wire: number;
  zero(): unknown;
  read(reader: Reader): unknown;
  write(writer: Writer, value: never): void;
  isZero(value: never): boolean;
}
type OutOf<T> = T extends { read(reader: Reader): infer Out } ? Out : never;
type InOf<T> = T extends { write(writer: Writer, value: infer In): void } ? In : never;
type OneOfOut<C extends Cases> = { [K in keyof C]: { is: K; value: OutOf<C[K][1]> } }[keyof C];
type OneOfIn<C extends Cases> = { [K in keyof C]: { is: K; value: InOf<C[K][1]> } }[keyof C];

/** A oneof: `{ is, value }`, `undefined` when none of the known cases is there. */
export function oneof<const C extends Cases>(
  cases: C,
): Field<OneOfOut<C> | undefined, OneOfIn<C> | undefined> {
  const byNumber = new Map<number, { is: keyof C; type: AnyType }>();
  for (const is in cases) {
    const entry = cases[is];
    if (entry) byNumber.set(entry[0], { is, type: entry[1] });
  }
  return {
    numbers: [...byNumber.keys()],
    initial: () => undefined,
    read(reader, field, wire, before) {
      const found = byNumber.get(field);
      if (!found) return before;
      expectWire(wire, found.type, field);
      return { is: found.is, value: found.type.read(reader) } as OneOfOut<C>;
    },
    write(writer, chosen) {
      if (chosen === undefined) return;
      const entry = cases[chosen.is];
      if (!entry) throw new TypeError(`no case ${String(chosen.is)}`);
      entry[1].write(writer.tag(entry[0], entry[1].wire), chosen.value as never);
    },
  };
}

interface AnyField {
  readonly numbers: readonly number[];
  initial(): unknown;
  read(reader: Reader, field: number, wire: number, before: never): unknown;
  write(writer: Writer, value: never): void;
}
type Fields = Record<string, AnyField>;
type FieldOut<F> = F extends { initial(): infer Out } ? Out : never;
type FieldIn<F> = F extends { write(writer: Writer, value: infer In): void } ? In : never;
/** What is read of a message type. */
export type Out<T> = OutOf<T>;
/** What may be written as a message type: absent properties have their default. */
export type In<T> = InOf<T>;

/** A message: a type that also stands alone. */
export interface MessageType<Out, In> extends Type<Out, In> {
  decode(data: Uint8Array): Out;
  encode(value: In): Uint8Array;
}

/** A message type from its fields, in the order of their numbers. */
export function message<const F extends Fields>(
  fields: F,
): MessageType<{ [K in keyof F]: FieldOut<F[K]> }, { [K in keyof F]?: FieldIn<F[K]> }> {
  type MessageOut = { [K in keyof F]: FieldOut<F[K]> };
  type MessageIn = { [K in keyof F]?: FieldIn<F[K]> };
  const all = Object.entries<AnyField>(fields);
  const byNumber = new Map<number, readonly [string, AnyField]>();
  for (const entry of all) {
    for (const number of entry[1].numbers) byNumber.set(number, entry);
  }
  const zero = (): Record<string, unknown> =>
    Object.fromEntries(all.map(([name, field]) => [name, field.initial()]));
  const decode = (data: Uint8Array): MessageOut => {
    const reader = new Reader(data);
    const made = zero();
    while (!reader.isAtEnd) {
      const { field: number, wire } = reader.tag();
      const [name, field] = byNumber.get(number) ?? [];
      if (name === undefined || !field) reader.skip(wire);
      else made[name] = field.read(reader, number, wire, made[name] as never);
    }
    return made as MessageOut;
  };
  const encode = (value: MessageIn): Uint8Array => {
    const writer = new Writer();
    for (const [name, field] of all) {
      const given = value[name];
      if (given !== undefined) field.write(writer, given as never);
    }
    return writer.finish();
  };
  return {
    wire: WIRE_BYTES,
    zero: () => zero() as MessageOut,
    isZero: () => false,
    read: (reader) => decode(reader.view()),
    write: (writer, value) => void writer.view(encode(value)),
    decode,
    encode,
  };
}
