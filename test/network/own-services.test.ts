import { describe, expect, test } from 'vitest';
import { TcpFlag } from '../../src/network/packets/tcp.ts';
import { answerHttp } from '../../src/network/user/http-answer.ts';
import { parseGuestForward } from '../../src/network/user/options.ts';
import type { UserNetworkState } from '../../src/network/user/user-network.ts';
import { encoded, Station, text } from './station.ts';

const { SYN, ACK, FIN } = TcpFlag;
const BIG = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) >> 3);
const files = new Map([
  ['hello.txt', encoded('hello\n')],
  ['big.bin', BIG],
]);

/** A guest's end of a TCP connection, which takes all that comes. */
class Client {
  private next = 1;
  private expected = 0;
  got: Uint8Array[] = [];
  isFinished = false;

  constructor(
    private readonly station: Station,
    private readonly port: number,
    private readonly from = 40_000,
  ) {
    station.sendTcp(from, port, { sequence: 0, flags: SYN });
    const [answer] = station.takeTcp();
    if (!answer || answer.flags !== (SYN | ACK)) throw new Error('refused');
    this.expected = answer.sequence + 1;
    this.tell(ACK);
  }

  tell(flags: number, payload = new Uint8Array(0)): void {
    this.station.sendTcp(this.from, this.port, { sequence: this.next, acknowledgment: this.expected >>> 0, flags, payload });
    this.next += payload.length + (flags & FIN ? 1 : 0);
  }

  /** Takes segments and acknowledges them until no more come. */
  drain(station = this.station): string {
    for (
      let segments = station.takeTcp();
      segments.some(({ payload, flags }) => payload.length > 0 || flags & FIN);
      segments = station.takeTcp()
    )
      for (const { payload, flags, sequence } of segments) {
        if (sequence !== this.expected >>> 0) continue;
        this.expected += payload.length + (flags & FIN ? 1 : 0);
        if (payload.length > 0) this.got.push(payload);
        if (flags & FIN) this.isFinished = true;
        if (payload.length > 0 || flags & FIN)
          station.sendTcp(this.from, this.port, { sequence: this.next, acknowledgment: this.expected >>> 0, flags: ACK });
      }
    return text(Buffer.concat(this.got));
  }
}

const get = (station: Station, path: string, method = 'GET') => {
  const client = new Client(station, 80);
  client.tell(ACK, encoded(`${method} ${path} HTTP/1.1\r\nHost: 10.0.2.2\r\n`));
  client.tell(ACK, encoded('\r\n'));
  const answer = client.drain();
  client.tell(ACK | FIN);
  return { answer, isFinished: client.isFinished };
};

describe('files by HTTP', () => {
  test('are there by their names', () => {
    const station = new Station({ files }).announce();
    expect(get(station, '/hello.txt')).toEqual({
      answer:
        'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n',
      isFinished: true,
    });
    expect(station.outside.asked).toEqual([]);
    expect(station.network.isOpen).toBe(false);
  });

  test('longer than any window', () => {
    const station = new Station({ files }).announce();
    const client = new Client(station, 80);
    client.tell(ACK, encoded('GET /big.bin HTTP/1.0\r\n\r\n'));
    client.drain();
    const all = new Uint8Array(Buffer.concat(client.got));
    expect(all.slice(-BIG.length)).toEqual(BIG);
  });

  test('go on where the state of a network was saved', () => {
    const station = new Station({ files }).announce();
    const client = new Client(station, 80);
    client.tell(ACK, encoded('GET /big.bin HTTP/1.0\r\n\r\n'));
    const state: UserNetworkState = structuredClone(station.network.save());
    const other = new Station({ files }, state);
    other.frames.push(...station.take());
    client.drain(other);
    const all = new Uint8Array(Buffer.concat(client.got));
    expect(all.slice(-BIG.length)).toEqual(BIG);
  });

  test.each([
    ['GET', '/', '200 OK', 'hello.txt\nbig.bin\n'],
    ['GET', '/nothing', '404 Not Found', 'There is no such file.\n'],
    ['GET', '/%zz', '404 Not Found', 'There is no such file.\n'],
    ['GET', 'http://10.0.2.2/hello%2Etxt?x=1', '200 OK', 'hello\n'],
    ['HEAD', '/big.bin', '200 OK', ''],
    ['PUT', '/hello.txt', '405 Method Not Allowed', 'Files can only be read.\n'],
  ])('%s %s', (method, path, status, body) => {
    const { answer } = get(new Station({ files }).announce(), path, method);
    expect([answer.startsWith(`HTTP/1.1 ${status}\r\n`), answer.slice(answer.indexOf('\r\n\r\n') + 4)]).toEqual([true, body]);
  });

  test('what is no request is answered once no more comes', () => {
    expect(answerHttp(encoded('GET / HTTP/1.1\r\n'), files, false)).toBeUndefined();
    expect(text(answerHttp(encoded('hello\r\n\r\n'), files, false)?.head ?? new Uint8Array(0))).toMatch(/^HTTP\/1.1 400 /);
    expect(text(answerHttp(encoded('GET'), files, true)?.head ?? new Uint8Array(0))).toMatch(/^HTTP\/1.1 400 /);
  });

  test('there is no server without files', () => {
    expect(() => new Client(new Station().announce(), 80)).toThrow('refused');
  });
});

test('echo sends back what it gets, by TCP and UDP', () => {
  const station = new Station({ guestForwards: ['tcp:7:echo', 'udp:7:echo'].map(parseGuestForward) }).announce();
  const client = new Client(station, 7);
  client.tell(ACK, encoded('one '));
  client.tell(ACK | FIN, encoded('two'));
  expect([client.drain(), client.isFinished]).toEqual(['one two', true]);
  station.sendUdp(5000, 7, encoded('three'));
  expect(station.takeUdp().map(({ payload }) => payload && text(payload))).toEqual(['three']);
  expect(station.outside.asked).toEqual([]);
});
