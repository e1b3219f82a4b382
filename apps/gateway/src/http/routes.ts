/** Which paths there are, and with which methods: for the answers 404 and 405. */
import { HttpFailure } from './error-status';

const PATH_PREVIEW_LENGTH = 200;

export class RouteTable {
  private readonly methods = new Map<string, Set<string>>();

  register(path: string, methods: string | readonly string[]): void {
    const known = this.methods.get(path) ?? new Set();
    for (const method of [methods].flat()) known.add(method);
    this.methods.set(path, known);
  }

  /** `GET /status` and so on, sorted. */
  list(): string[] {
    return [...this.methods].flatMap(([path, methods]) => [...methods].map((method) => `${method} ${path}`)).sort();
  }

  /** The methods that any route takes, sorted. */
  everyMethod(): string[] {
    return [...new Set([...this.methods.values()].flatMap((methods) => [...methods]))].sort();
  }

  /** Why no route took the request. */
  failure(method: string, url: string): HttpFailure {
    const path = pathOf(url);
    const allowed = this.methods.get(path) ?? this.methodsOfPattern(path);
    if (allowed === undefined) {
      return new HttpFailure(404, `'${path.slice(0, PATH_PREVIEW_LENGTH)}' endpoint does not exist`);
    }
    const list = [...allowed].sort().join(', ');
    return new HttpFailure(405, `${path} does not take ${method}: use ${list}`, { allow: list });
  }

  /** Of a path that fits a route with a parameter at its end. */
  private methodsOfPattern(path: string): Set<string> | undefined {
    const parent = path.slice(0, path.lastIndexOf('/') + 1);
    if (parent === '' || parent === path) return undefined;
    for (const [route, methods] of this.methods) if (route.startsWith(`${parent}:`)) return methods;
    return undefined;
  }
}

/** The path as the router compares it: without the query, doubled slashes and a slash at the end. */
function pathOf(url: string): string {
  const end = url.search(/[?#]/);
  const path = (end === -1 ? url : url.slice(0, end)).replace(/\/{2,}/g, '/');
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
