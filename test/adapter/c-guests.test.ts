import { describe, expect, test } from 'vitest';
import { at, buildGuest, hasCompiler, SOURCE, stoppedAt, where } from './c-guests.ts';
import { Client } from './client.ts';

const VARIANTS = (['gcc', 'clang'] as const).flatMap((compiler) =>
  (['-O0', '-O2'] as const).map((level) => ({ compiler, level, name: `${compiler} ${level}` })),
);

for (const { compiler, level, name } of VARIANTS) {
  const reason = hasCompiler(compiler) ? undefined : `${compiler} is not installed`;
  describe.skipIf(reason)(`a guest in C, built by ${name}${reason ? ` (skipped: ${reason})` : ''}`, () => {
    const program = reason ? '' : buildGuest(compiler, [level]);
    const isPlain = level === '-O0';

    test('stops at a function behind its prologue, where the arguments can be read', () => {
      const client = new Client();
      client.launch(program, { stopOnEntry: false });
      const { breakpoints } = client.ask('setFunctionBreakpoints', {
        breakpoints: [{ name: 'add', condition: 'a == 3 && b == 7' }],
      });
      expect(breakpoints[0].verified).toBe(true);
      client.ask('configurationDone');
      expect(client.run().body.reason).toBe('breakpoint');
      expect(client.frames()[0].name).toBe('add');
      expect(client.evaluate('a + b * 10')).toBe('73');
    });

    test('goes over a call, into it, and out of it by lines', () => {
      const over = stoppedAt(program, 'calls factorial');
      over.move('next');
      if (isPlain) expect(where(over)).toEqual(['main', at('no lines')]);
      else expect(where(over)[0]).toBe('main');

      const into = stoppedAt(program, 'calls factorial');
      into.ask('setBreakpoints', { source: { path: SOURCE }, breakpoints: [] });
      for (let steps = 0; steps < 4 && where(into)[0] === 'main'; steps++) into.move('stepIn');
      expect(where(into)[0]).toBe('factorial');
      into.move('stepOut');
      expect(where(into)[0]).toBe('main');
    });

    test('shows a frame for each level of a recursion, with its own arguments; Step Out leaves one level', () => {
      if (!isPlain) return;
      const client = stoppedAt(program, 'innermost');
      const frames = client.frames();
      expect(frames.map(({ name: called }) => called).slice(0, 6)).toEqual([...Array(5).fill('factorial'), 'main']);
      const values = frames
        .slice(0, 5)
        .map(({ id }) => client.ask('evaluate', { expression: 'n', frameId: id, context: 'watch' }).result);
      expect(values).toEqual(['1', '2', '3', '4', '5']);
      client.move('stepOut');
      expect(where(client)).toEqual(['factorial', at('recursion')]);
      expect(client.evaluate('n')).toBe('2');
      // Part of the stack, as an editor asks for it.
      const part = client.ask('stackTrace', { threadId: 1, startFrame: 1, levels: 2 });
      expect(part.stackFrames.map(({ name: called }: { name: string }) => called)).toEqual(['factorial', 'factorial']);
      expect(part.totalFrames).toBeGreaterThanOrEqual(5);
    });

    test('goes over code without lines as one, but stops at a breakpoint inside of what that calls', () => {
      const client = stoppedAt(program, 'no lines');
      client.ask('setBreakpoints', { source: { path: SOURCE }, breakpoints: [] });
      for (let steps = 0; steps < 3 && where(client)[1] === at('no lines'); steps++) client.move('stepIn');
      expect(where(client)[0]).toBe('main');

      const other = stoppedAt(program, 'no lines');
      other.ask('setBreakpoints', { source: { path: SOURCE }, breakpoints: [] });
      other.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'add' }] });
      expect(other.move('next').body.reason).toBe('breakpoint');
      expect(
        other
          .frames()
          .map(({ name: called }) => called)
          .slice(0, 3),
      ).toEqual(['add', 'without_lines', 'main']);
      other.ask('setFunctionBreakpoints', { breakpoints: [] });
      other.move('stepOut');
      expect(where(other)[0]).not.toBe('add');
    });

    test('stops where a function was inlined, and shows it as a frame of its own', () => {
      const client = new Client();
      client.launch(program, { stopOnEntry: false });
      const { breakpoints } = client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'square' }] });
      expect(breakpoints[0].verified).toBe(true);
      client.ask('configurationDone');
      client.run();
      const names = client.frames().map(({ name: called }) => called);
      expect(names[0]).toMatch(/^square/);
      expect(names).toContain('main');
      expect(client.frames()[1].line).toBe(at('inlined'));
    });

    test('steps through a loop line by line and leaves it', () => {
      if (!isPlain) return;
      const client = stoppedAt(program, 'loop');
      client.ask('setBreakpoints', { source: { path: SOURCE }, breakpoints: [] });
      const lines: number[] = [];
      for (let steps = 0; steps < 12 && where(client)[1] !== at('calls factorial'); steps++) {
        lines.push(where(client)[1]);
        client.move('next');
      }
      expect(lines.filter((line) => line === at('loop'))).toHaveLength(3);
      expect(lines.filter((line) => line === at('loop') - 1)).toHaveLength(3);
      expect(where(client)).toEqual(['main', at('calls factorial')]);
    });

    test('a condition, a hit count and a message speak the language of the guest', () => {
      const client = new Client();
      client.launch(program, { stopOnEntry: false });
      client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'distance', hitCondition: '2' }] });
      client.ask('configurationDone');
      client.run();
      expect(client.evaluate('p->x + p->y')).toBe('3');
      client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'distance', logMessage: 'at {p->x}, {p->y}: {p->name}' }] });
      client.ask('restart');
      expect(client.run().event).toBe('terminated');
      const logs = client.events
        .filter(({ event, body }) => event === 'output' && body.output.startsWith('at '))
        .map(({ body }) => body.output);
      expect(logs).toHaveLength(2);
      expect(logs[0]).toMatch(/^at 3, 4: /);
      expect(logs[1]).toMatch(/^at 1, 2: 0x[0-9a-f]+ "origin"/);
    });

    test('ends as it does without a debugger', () => {
      const client = new Client();
      client.launch(program, { stopOnEntry: false });
      client.ask('configurationDone');
      expect(client.run().event).toBe('terminated');
      expect(client.events.find(({ event }) => event === 'exited')?.body.exitCode).toBe(0);
    });
  });
}
