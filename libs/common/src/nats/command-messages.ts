/** What the leading balancer is asked and answers, by the last word of the subject; and what it announces. */
import {
  addCommand,
  addDone,
  changeReplies,
  clusterStatus,
  deleteBatch,
  initCommand,
  operationRequest,
  operationStatus,
  readBatch,
  snapshotLeasesReply,
  snapshotLeasesRequest,
  readReplies,
  rmCommand,
  rmDone,
  scrubDone,
  takeOverNews,
  updateBatch,
  writeBatch,
} from '../contracts/commands';
import { cloudEvent } from '../contracts/events';
import { nothing } from '../contracts/shapes';
import type { SUBJECTS } from '../contracts/subjects';
import { exchange, Message, type Exchange } from './message';

/** All but `metrics`, whose answer is text. */
export const COMMAND_MESSAGES = {
  init: exchange(initCommand, nothing),
  status: exchange(nothing, clusterStatus),
  add: exchange(addCommand, addDone),
  rm: exchange(rmCommand, rmDone),
  scrub: exchange(nothing, scrubDone),
  read: exchange(readBatch, readReplies),
  snapshotLeases: exchange(snapshotLeasesRequest, snapshotLeasesReply),
  write: exchange(writeBatch, changeReplies),
  update: exchange(updateBatch, changeReplies),
  del: exchange(deleteBatch, changeReplies),
  operation: exchange(operationRequest, operationStatus),
} satisfies Record<Exclude<keyof typeof SUBJECTS.cmd, 'metrics'>, Exchange<unknown, unknown>>;

export const EVENT = new Message(cloudEvent);
export const TAKE_OVER_NEWS = new Message(takeOverNews);
