/** What shard-nodes are asked and answer, by verb. */
import { applyReply, applyRequest } from '../contracts/rounds';
import {
  catchupReply,
  catchupRequest,
  censusReply,
  configReply,
  configRequest,
  copyReply,
  copyRequest,
  digestReply,
  digestRequest,
  fenceReply,
  fenceRequest,
  nodeReadReply,
  nodeReadRequest,
  operationLookup,
  operationLookupReply,
  pingReply,
  pingRequest,
} from '../contracts/node';
import type { NodeVerb } from '../contracts/subjects';
import { exchange, Message, type Exchange } from './message';

export const NODE_MESSAGES = {
  apply: exchange(applyRequest, applyReply),
  catchup: exchange(catchupRequest, catchupReply),
  config: exchange(configRequest, configReply),
  copy: exchange(copyRequest, copyReply),
  digest: exchange(digestRequest, digestReply),
  fence: exchange(fenceRequest, fenceReply),
  operation: exchange(operationLookup, operationLookupReply),
  ping: exchange(pingRequest, pingReply),
  read: exchange(nodeReadRequest, nodeReadReply),
} satisfies Record<NodeVerb, Exchange<unknown, unknown>>;

/** The answer to the broadcast, which says nothing itself. */
export const CENSUS_REPLY = new Message(censusReply);
