/** What shard-nodes are asked and answer, by verb. */
import { applyReply, applyRequest } from '../contracts/rounds';
import {
  catchupReply,
  catchupRequest,
  censusReply,
  configRequest,
  copyReply,
  copyRequest,
  digestReply,
  digestRequest,
  fenceRequest,
  nodeReadReply,
  nodeReadRequest,
  operationLookup,
  operationLookupReply,
  pingRequest,
  probeReply,
  probeRequest,
} from '../contracts/node';
import { sharedConfigReply, sharedFenceReply, sharedPingReply } from '../contracts/shared-rounds';
import type { NodeVerb } from '../contracts/subjects';
import { exchange, Message, type Exchange } from './message';

export const NODE_MESSAGES = {
  apply: exchange(applyRequest, applyReply),
  catchup: exchange(catchupRequest, catchupReply),
  config: exchange(configRequest, sharedConfigReply),
  copy: exchange(copyRequest, copyReply),
  digest: exchange(digestRequest, digestReply),
  fence: exchange(fenceRequest, sharedFenceReply),
  operation: exchange(operationLookup, operationLookupReply),
  ping: exchange(pingRequest, sharedPingReply),
  probe: exchange(probeRequest, probeReply),
  read: exchange(nodeReadRequest, nodeReadReply),
} satisfies Record<NodeVerb, Exchange<unknown, unknown>>;

/** The answer to the broadcast, which says nothing itself. */
export const CENSUS_REPLY = new Message(censusReply);
