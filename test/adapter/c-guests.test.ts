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

const noGcc = hasCompiler('gcc') ? undefined : 'gcc is not installed';

describe.skipIf(noGcc)(`variables of a guest in C${noGcc ? ` (skipped: ${noGcc})` : ''}`, () => {
  const program = noGcc ? '' : buildGuest('gcc', ['-O0']);
  /** Variables of a scope of a frame, by name. */
  const scopeOf = (client: Client, level: number, scope: string) => {
    const { scopes } = client.ask('scopes', { frameId: client.frames()[level].id });
    const { variablesReference } = scopes.find(({ name }: { name: string }) => name === scope);
    const { variables } = client.ask('variables', { variablesReference });
    const byName = new Map<string, { value: string; variablesReference: number; memoryReference?: string; evaluateName: string }>(
      variables.map((variable: { name: string }) => [variable.name, variable]),
    );
    return { variablesReference, byName };
  };

  test('are shown in each frame of the stack, unfold, and say by which expression they are reached', () => {
    const client = stoppedAt(program, 'distance returns');
    expect(scopeOf(client, 0, 'Locals').byName.get('x')?.value).toBe('9');
    const locals = scopeOf(client, 1, 'Locals').byName;
    const point = locals.get('where');
    expect(point?.value).toMatch(/^\{x = 3, y = 4, name = 0x[0-9a-f]+ "where"\}$/);
    const { variables } = client.ask('variables', { variablesReference: point?.variablesReference });
    expect(variables.map(({ evaluateName }: { evaluateName: string }) => evaluateName)).toEqual([
      'where.x',
      'where.y',
      'where.name',
    ]);
    const argument = scopeOf(client, 0, 'Arguments').byName.get('p');
    // A pointer's memory is what it points at.
    expect(argument?.memoryReference).toBe(client.evaluate('p', 'clipboard').split(' ').at(-1));
  });

  test('lead to their memory: pointers, by whatever name of their type, to what they point at, others to where they lie', () => {
    const client = stoppedAt(program, 'distance returns');
    const frameId = client.frames()[1].id;
    const leads = (expression: string) => client.ask('evaluate', { expression, context: 'watch', frameId }).memoryReference;
    const text = (memoryReference: string) =>
      Buffer.from(client.ask('readMemory', { memoryReference, count: 6 }).data, 'base64').toString();
    expect(text(leads('where.name'))).toBe('where\0');
    expect(text(leads('here->name'))).toBe('origin');
    expect(leads('here')).toBe(leads('origin'));
    expect(BigInt(leads('where.y'))).toBe(BigInt(leads('where')) + 4n);
    expect(scopeOf(client, 1, 'Locals').byName.get('where')?.memoryReference).toBe(leads('where'));
    expect(leads('where.x + 1')).toBeUndefined();
  });

  test('are set by values and expressions of their language; a watch on a structure unfolds', () => {
    const client = stoppedAt(program, 'distance returns');
    const { variablesReference } = scopeOf(client, 0, 'Locals');
    expect(client.ask('setVariable', { variablesReference, name: 'x', value: 'y * 2 + 1' }).value).toBe('33');
    expect(client.evaluate('x')).toBe('33');
    expect(client.ask('setExpression', { expression: 'counter', value: '-7' }).value).toBe('-7');
    expect(client.evaluate('counter')).toBe('-7');
    const frameId = client.frames()[1].id;
    client.ask('setExpression', { expression: 'where.y', value: "'A'", frameId });
    expect(client.ask('evaluate', { expression: 'where.y', frameId, context: 'watch' }).result).toBe('65');
    const watched = client.ask('evaluate', { expression: 'origin', frameId, context: 'watch' });
    expect(watched.type).toBe('struct point');
    const { variables } = client.ask('variables', { variablesReference: watched.variablesReference });
    expect(variables.map(({ name, value }: { name: string; value: string }) => [name, value]).slice(0, 2)).toEqual([
      ['x', '1'],
      ['y', '2'],
    ]);
    const whole = client.request('setExpression', { expression: 'origin', value: '1' });
    expect(whole).toMatchObject({ success: false, message: expect.stringMatching(/\w/) });
  });

  test('stop the guest before they are written, as wide as they are', () => {
    const client = stoppedAt(program, 'calls factorial');
    const info = client.ask('dataBreakpointInfo', { name: 'counter' });
    expect(info.description).toMatch(/^4 bytes at 0x/);
    client.ask('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] });
    expect(client.move('continue').body.reason).toBe('data breakpoint');
    expect(where(client)).toEqual(['factorial', at('factorial')]);
    expect(client.evaluate('counter')).toBe('0');
    const { variablesReference } = scopeOf(client, 1, 'Locals');
    expect(client.ask('dataBreakpointInfo', { variablesReference, name: 'total' }).description).toMatch(/^4 bytes/);
    expect(client.ask('dataBreakpointInfo', { name: 'n + 1' }).dataId).toBeNull();
  });

  test('registers keep their names beside them: rax is the register, $rax too, and a missing name is told as C tells it', () => {
    const client = stoppedAt(program, 'add');
    expect(client.evaluate('$rsp == rsp')).toMatch(/1/);
    expect(client.evaluate('[rsp]', 'clipboard')).toMatch(/^0x/);
    const { success, message } = client.request('evaluate', { expression: 'nothing + 1', context: 'watch' });
    expect([success, message]).toEqual([false, expect.stringContaining('nothing')]);
  });
});
