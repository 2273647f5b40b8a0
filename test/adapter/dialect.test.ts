import { describe, expect, test } from 'vitest';
import { Dialect } from '../../src/adapter/dialect.ts';
import { Client, lineOf } from './client.ts';
import { assembly } from './guests.ts';

const PROGRAM = `bits 64
_start:
    mov eax, 1
    mov ecx, eax
    hlt
`;

describe('clients that count from 0 and write paths as URIs', () => {
  test('are understood and answered in their way', () => {
    const file = assembly(PROGRAM);
    const uri = `file://${file}`;
    const client = new Client();
    client.ask('initialize', { adapterID: 'hyperscope', linesStartAt1: false, columnsStartAt1: false, pathFormat: 'uri' });
    client.ask('launch', { program: file, stopOnEntry: false });
    const line = lineOf(file, 'mov ecx') - 1;
    const { breakpoints } = client.ask('setBreakpoints', { source: { path: uri }, breakpoints: [{ line }] });
    expect(breakpoints[0]).toMatchObject({ verified: true, line });
    expect(client.ask('breakpointLocations', { source: { path: uri }, line }).breakpoints).toEqual([{ line }]);
    client.ask('configurationDone');
    client.run();
    expect(client.frames()[0]).toMatchObject({ line, column: 0, source: { path: uri } });
    expect(client.ask('gotoTargets', { source: { path: uri }, line }).targets[0].line).toBe(line);
    expect(client.ask('loadedSources').sources[0].path).toBe(uri);
    const { targets } = client.ask('completions', { text: 'rb', column: 2 });
    expect(targets.map(({ label }: { label: string }) => label)).toContain('rbx');
  });

  test('may write drive letters and names with blanks', () => {
    const dialect = Dialect.of({ pathFormat: 'uri' });
    for (const path of ['C:/My Guests/a#b.asm', '/home/me/ä %20.asm'])
      expect(dialect.readPath(dialect.writePath(path))).toBe(path);
    expect(dialect.writePath('C:\\guests\\a.asm')).toBe('file:///C:/guests/a.asm');
    expect(dialect.readPath('file:///%E0%A4%A')).toBe('/%E0%A4%A');
  });
});
