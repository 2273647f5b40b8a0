/** The beginning of an answer, and the name of the file that follows. */
export interface HttpAnswer {
  readonly head: Uint8Array;
  readonly file?: string;
}

const END_OF_HEAD = '\r\n\r\n';
const REQUEST_LINE = /^(\S+) (\S+) HTTP\/1\.[01]\r\n/;

/**
 * Answers a request (RFC 9112): `GET` and `HEAD` of a file, or of `/` for a list of them. Undefined while the request isn't whole;
 * `isAll`: no more of it will come. Nothing in an answer depends on the time, so that it is the same in each run.
 */
export function answerHttp(request: Uint8Array, files: ReadonlyMap<string, Uint8Array>, isAll: boolean): HttpAnswer | undefined {
  const text = new TextDecoder('latin1').decode(request);
  const isWhole = text.includes(END_OF_HEAD);
  if (!isWhole && !isAll) return undefined;
  const [, method, target] = REQUEST_LINE.exec(text) ?? [];
  if (!isWhole || method === undefined || target === undefined) return plain('400 Bad Request', 'This is no request.\n');
  if (method !== 'GET' && method !== 'HEAD')
    return plain('405 Method Not Allowed', 'Files can only be read.\n', 'Allow: GET, HEAD\r\n');
  const isGet = method === 'GET';
  const name = nameOf(target);
  if (name === '') return plain('200 OK', [...files.keys()].map((file) => `${file}\n`).join(''), '', isGet);
  const file = name === undefined ? undefined : files.get(name);
  if (name === undefined || file === undefined) return plain('404 Not Found', 'There is no such file.\n', '', isGet);
  return { head: headOf('200 OK', 'application/octet-stream', file.length), file: isGet ? name : undefined };
}

/** The name in a path, without what may follow it; undefined where it isn't one. */
function nameOf(target: string): string | undefined {
  const [path = ''] = target.replace(/^http:\/\/[^/]*/i, '').split(/[?#]/);
  try {
    return decodeURIComponent(path.replace(/^\//, ''));
  } catch {
    return undefined;
  }
}

function plain(status: string, text: string, more = '', hasBody = true): HttpAnswer {
  const body = new TextEncoder().encode(text);
  const head = headOf(status, 'text/plain; charset=utf-8', body.length, more);
  if (!hasBody) return { head };
  const all = new Uint8Array(head.length + body.length);
  all.set(head);
  all.set(body, head.length);
  return { head: all };
}

function headOf(status: string, type: string, length: number, more = ''): Uint8Array {
  const lines = `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n${more}Connection: close\r\n\r\n`;
  return new TextEncoder().encode(lines);
}
