/** What the scripts share: settings from the environment, requests whose answers are checked, one short summary. */
import { check } from 'k6';
import http from 'k6/http';
import { keyOf } from './layout.mjs';

function whole(name, fallback) {
  const value = Number(__ENV[name] || fallback);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name} is ${__ENV[name]}: a whole number is needed`);
  return value;
}

export const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:5000';
/** Clients that each wait for an answer before they ask again. */
export const CLIENTS = whole('CLIENTS', 64);
/** Requests in total, over all clients. */
export const COUNT = whole('COUNT', 10000);
/** Rows 0 … ROWS-1 are stored: what may be read. */
export const ROWS = whole('ROWS', 10000);
/** Index of the first row to be written. */
export const START_KEY = whole('START_KEY', 0);
/** Rows of one bulk write. */
export const BATCH = whole('BATCH', 100);
/** Keys of a shard. */
export const SHARD_SIZE = whole('SHARD_SIZE', 4096);

const HEADERS = { headers: { 'Content-Type': 'application/json' } };

/** COUNT iterations shared by CLIENTS; a single wrong answer fails the run. */
export function optionsFor() {
  return {
    scenarios: {
      load: {
        executor: 'shared-iterations',
        vus: Math.min(CLIENTS, COUNT),
        iterations: COUNT,
        maxDuration: __ENV.MAX_DURATION || '30m',
      },
    },
    thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'] },
    summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
  };
}

/** The key of the row of this index. */
export function keyAt(index) {
  return keyOf(index, SHARD_SIZE);
}

/** A key that is stored. */
export function storedKey() {
  return keyAt(Math.floor(Math.random() * ROWS));
}

/** Sends JSON and checks the answer's status and, by `isRight`, its parsed body. */
export function ask(method, path, body, isRight) {
  const response = http.request(method, `${BASE_URL}${path}`, JSON.stringify(body), HEADERS);
  checkAnswer(response, path, () => isRight(response.json()));
  return response;
}

/** As `ask`, with the body as text: for answers that are too large to be parsed each time. */
export function askForText(method, path, body, isRight) {
  const response = http.request(method, `${BASE_URL}${path}`, JSON.stringify(body), HEADERS);
  checkAnswer(response, path, () => isRight(response.body));
  return response;
}

let shown = false;

function checkAnswer(response, path, isRight) {
  const right = check(response, {
    'status is 200': (answer) => answer.status === 200,
    'body is right': (answer) => answer.status === 200 && answer.body !== null && isRight(),
  });
  if (right || shown) return;
  shown = true;
  console.error(`${path} answered ${response.status}: ${String(response.body || response.error).slice(0, 300)}`);
}

/** One short block; with SUMMARY_FILE the figures as JSON too. */
export function summarize(name) {
  return (data) => {
    const figures = figuresOf(name, data.metrics, data.state.testRunDurationMs);
    const files = { stdout: textOf(figures) };
    if (__ENV.SUMMARY_FILE) files[__ENV.SUMMARY_FILE] = JSON.stringify(figures);
    return files;
  };
}

function figuresOf(name, metrics, durationMs) {
  const requests = valueOf(metrics.http_reqs, 'count');
  const latency = (metrics.http_req_duration || { values: {} }).values;
  return {
    name,
    clients: CLIENTS,
    requests,
    asked: COUNT,
    seconds: durationMs / 1000,
    requestsPerSecond: requests / (durationMs / 1000),
    p50Ms: latency.med || 0,
    p95Ms: latency['p(95)'] || 0,
    p99Ms: latency['p(99)'] || 0,
    maxMs: latency.max || 0,
    // Each request has two checks; the body is wrong whenever the status is.
    failures: valueOf(metrics.checks, 'fails') > 0 ? failedAnswers(metrics) : 0,
    receivedMiB: valueOf(metrics.data_received, 'count') / 2 ** 20,
  };
}

function failedAnswers(metrics) {
  return Math.max(valueOf(metrics.http_req_failed, 'passes'), Math.ceil(valueOf(metrics.checks, 'fails') / 2));
}

function valueOf(metric, field) {
  return metric === undefined ? 0 : metric.values[field] || 0;
}

function textOf(figures) {
  const unsent = figures.asked - figures.requests;
  return [
    `${figures.name}: ${figures.requests} requests, ${figures.clients} clients, ${figures.seconds.toFixed(1)} s`,
    `  ${figures.requestsPerSecond.toFixed(0)} requests/s`,
    `  p50 ${figures.p50Ms.toFixed(1)} ms, p95 ${figures.p95Ms.toFixed(1)} ms, p99 ${figures.p99Ms.toFixed(1)} ms`,
    `  ${figures.failures} failures${unsent > 0 ? `, ${unsent} requests not sent in time` : ''}`,
    '',
  ].join('\n');
}
