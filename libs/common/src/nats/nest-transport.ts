/**
 * Nest's NATS transport without its envelope: what is on the wire is the payload itself.
 *
 * A handler gets the message's bytes and returns bytes, a string, an object (sent as JSON) or an Observable of those; a
 * thrown ShardlineError is answered as `{"error": {code, message, retryable}}`.
 *
 * A handler that answers in several messages must complete its Observable in the same turn in which it emits the last
 * one: Nest joins the two, and no empty message follows.
 */
import type { ConsumerDeserializer, IncomingRequest, OutgoingResponse, Serializer } from '@nestjs/microservices';
import { NatsRecordBuilder, Transport, type NatsOptions, type NatsRecord } from '@nestjs/microservices';
import { Catch, type RpcExceptionFilter } from '@nestjs/common';
import { throwError, type Observable } from 'rxjs';
import { ShardlineError } from '../contracts/errors';
import { MAX_PAYLOAD_BYTES } from './nats-server';
import { connectionOptions } from './connection';
import { jsonBytes, textBytes } from './text';

/** Hands the bytes of a message to the handler, untouched. */
class BytesDeserializer implements ConsumerDeserializer {
  deserialize(value: unknown, options?: Record<string, unknown>): IncomingRequest {
    const channel = typeof options?.channel === 'string' ? options.channel : '';
    return { pattern: channel, data: bytesOf(value), id: 'reply' };
  }
}

/** Writes what the handler returned, and nothing around it. */
export class BareSerializer implements Serializer<OutgoingResponse, NatsRecord> {
  serialize(packet: OutgoingResponse): NatsRecord {
    const err = packet.err as unknown;
    const failed = err !== undefined && err !== null;
    const payload: unknown = failed ? { error: ShardlineError.from(err).toBody() } : packet.response;
    return new NatsRecordBuilder(fitting(toBytes(payload))).build();
  }
}

/** Keeps the code of what a handler throws; without it Nest would answer "Internal server error" to everything. */
@Catch()
export class ShardlineRpcFilter implements RpcExceptionFilter<unknown> {
  catch(exception: unknown): Observable<never> {
    return throwError(() => ShardlineError.from(exception));
  }
}

/** Options for `connectMicroservice`. */
export function nestNatsOptions(servers: string[], name: string): NatsOptions {
  return {
    transport: Transport.NATS,
    options: {
      ...(connectionOptions(servers, name) as object),
      servers,
      serializer: new BareSerializer(),
      deserializer: new BytesDeserializer(),
      gracefulShutdown: true,
      gracePeriod: 50,
    },
  };
}

/** What the broker does not take would end the process, and whoever asked would wait for nothing. */
function fitting(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= MAX_PAYLOAD_BYTES) return bytes;
  const message = `the answer has ${bytes.length} bytes, more than a message takes`;
  return toBytes({ error: new ShardlineError('INTERNAL', message).toBody() });
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const data = (value as { data?: unknown } | null)?.data;
  return data instanceof Uint8Array ? data : new Uint8Array(0);
}

function toBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return textBytes(value);
  return value === undefined ? new Uint8Array(0) : jsonBytes(value);
}
