import { describe, expect, test } from 'vitest';
import { complete, resolveCompletion } from '../../src/language-server/completion.ts';
import { diagnose } from '../../src/language-server/diagnostics.ts';
import { hover } from '../../src/language-server/hover.ts';
import { definition, prepareRename, references, rename } from '../../src/language-server/navigation.ts';
import { documentSymbols, foldingRanges } from '../../src/language-server/outline.ts';
import { mnemonics } from '../../src/language-server/reference-tables.ts';
import { Sources } from '../../src/language-server/sources.ts';
import type { FileAccess } from '../../src/programs/program.ts';
import { ProgramError } from '../../src/programs/program.ts';

function disk(files: Readonly<Record<string, string>> = {}): FileAccess {
  return {
    read: (path) => {
      const text = files[path];
      if (text === undefined) throw new ProgramError(`${path} can't be read.`);
      return new TextEncoder().encode(text);
    },
    exists: (path) => path in files,
    resolve: (_, relative) => `/${relative}`,
  };
}

const MAIN = '/main.asm';

/** An open source; the position is where it has a `|`. */
function open(marked: string, files: Readonly<Record<string, string>> = {}) {
  const sources = new Sources(disk(files));
  const at = marked.indexOf('|');
  const text = at < 0 ? marked : marked.slice(0, at) + marked.slice(at + 1);
  const before = marked.slice(0, Math.max(0, at)).split('\n');
  sources.set(MAIN, text);
  return { sources, text, position: { line: before.length - 1, character: (before.at(-1) ?? '').length } };
}

function hoverText(marked: string): string | undefined {
  const { sources, position } = open(marked);
  const contents = hover(sources, MAIN, position)?.contents;
  return typeof contents === 'object' && 'value' in contents ? contents.value : undefined;
}

const labelsAt = (marked: string) => {
  const { sources, position } = open(marked);
  return complete(sources, MAIN, position).map(({ label }) => label);
};

describe('diagnostics', () => {
  test('are none in a good source', () => {
    const { sources } = open('bits 64\n_start:\n  mov rax, 1\n  hlt\n');
    expect(diagnose(sources, MAIN)).toEqual(new Map([[MAIN, []]]));
  });

  test('stand at the wrong word and say how to mend it', () => {
    const { sources } = open('bits 64\n  movv rax, 1\n');
    expect(diagnose(sources, MAIN).get(MAIN)).toMatchObject([
      { range: { start: { line: 1, character: 2 }, end: { line: 1, character: 6 } }, severity: 1, source: 'hyperscope' },
    ]);
    expect(diagnose(sources, MAIN).get(MAIN)?.[0]?.message).toContain('mov');
  });

  test('of an included file are reported there', () => {
    const { sources } = open('bits 64\n%include "part.inc"\n', { '/part.inc': 'nop\n  bad thing\n' });
    expect(diagnose(sources, MAIN).get('/part.inc')).toMatchObject([{ range: { start: { line: 1 } } }]);
  });

  test('are none in a source of the GNU assembler', () => {
    const { sources } = open('    .globl _start\n_start:\n    movq %rax, %rbx\n');
    expect(diagnose(sources, MAIN).get(MAIN)).toEqual([]);
  });

  test('follow a change', () => {
    const { sources } = open('  wrong');
    sources.set(MAIN, '  nop');
    expect(diagnose(sources, MAIN).get(MAIN)).toEqual([]);
  });
});

describe('hover', () => {
  test('tells of an instruction its forms, flags and what leaves the guest', () => {
    const text = hoverText('  cp|uid');
    expect(text).toContain('**cpuid**');
    expect(text).toContain('Leaves the guest');
    expect(hoverText('  ad|d eax, 1')).toMatch(/add r\/m8, imm8[\s\S]*writes OF SF ZF AF PF CF/);
  });

  test('knows every mnemonic that it completes', () => {
    expect(mnemonics.length).toBeGreaterThan(200);
    const without = mnemonics.filter((name) => hoverText(`  ${name}|`) === undefined);
    expect(without).toEqual([]);
  });

  test.each(['jz', 'cmovnae', 'setnbe', 'movsb', 'insd', 'iretq', 'cdqe', 'lgs', 'sal', 'xlatb'])(
    'finds %s by its other name',
    (name) => {
      expect(hoverText(`  ${name}|`)).toContain(`**${name}**`);
    },
  );

  test('names an MSR, a port and a hypercall by its number', () => {
    expect(hoverText('  mov ecx, 0xc0000|080')).toContain('EFER');
    expect(hoverText('  mov ecx, 0x4000|0001')).toContain('HV_X64_MSR_HYPERCALL');
    expect(hoverText('  mov dx, 0x3f|8')).toContain('COM1');
    expect(hoverText('  mov eax, 5|\n  vmcall')).toContain('KVM_HC_KICK_CPU');
    expect(hoverText('  mov eax, 5|\n')).not.toContain('KVM_HC_KICK_CPU');
  });

  test('names a hypercall of Hyper-V by its number and by its name', () => {
    const text = hoverText('  mov ecx, 0x1005|d\n  call [rel hypercall_page]');
    expect(text).toContain('Hyper-V hypercall 0x5d **HvCallSignalEvent** — sets an event flag');
    expect(text).toContain('Takes `connection` (4), `flag` (2)');
    expect(hoverText('HvCallPostMess|age equ 0x5c')).toContain('`payloadSize` (4), `payload` (240)');
    expect(hoverText('  mov ecx, 0x5|d\n')).not.toContain('HvCallSignalEvent');
  });

  test('shows of a symbol its definition, value and comment', () => {
    const text = hoverText('; Serial port.\nCOM1 equ 0x3f8\n  mov dx, CO|M1');
    expect(text).toContain('constant, 0x3f8');
    expect(text).toContain('Serial port.');
    expect(text).toContain('uart16550');
  });

  test('shows the address of a label', () => {
    expect(hoverText('bits 64\nstart:\n  nop\nnext:\n  jmp ne|xt')).toContain('label, at 0x100001');
  });

  test('describes registers and directives, and says nothing of other words', () => {
    expect(hoverText('  mov cr|3, rax')).toContain('paging structure');
    expect(hoverText('  tim|es 3 nop')).toContain('Repeats');
    expect(hoverText('  jmp nowh|ere')).toBeUndefined();
  });
});

describe('completion', () => {
  test('offers instructions and directives where one begins', () => {
    expect(labelsAt('  vm|')).toEqual(expect.arrayContaining(['vmcall', 'section', 'mov']));
    expect(labelsAt('start: lock |')).toContain('xadd');
  });

  test('offers registers and symbols as operands', () => {
    expect(labelsAt('value equ 1\nstart:\n  mov rax, |')).toEqual(expect.arrayContaining(['rcx', 'value', 'start']));
    expect(labelsAt('  mov rax, |')).not.toContain('mov');
  });

  test('offers MSRs for ECX, ports for DX and hypercalls for EAX, by name', () => {
    const { sources, position } = open('  mov ecx, |');
    const efer = complete(sources, MAIN, position).find(({ label }) => label.includes('EFER'));
    expect(efer).toMatchObject({ insertText: '0xc0000080' });
    expect(labelsAt('  mov dx, |')).toContain('uart16550 0x3f8');
    expect(labelsAt('  mov eax, |')).toContain('KVM_HC_SEND_IPI');
    expect(labelsAt('  mov ebx, |')).not.toContain('KVM_HC_SEND_IPI');
    expect(labelsAt('  mov rcx, |')).toContain('HvCallPostMessage');
  });

  test('offers the local labels of the label above, with their dot', () => {
    const source = 'one:\n.a:\n  nop\ntwo:\n.b:\n  jmp .|';
    const { sources, position } = open(source);
    expect(complete(sources, MAIN, position)).toMatchObject([
      { label: '.b', textEdit: { newText: '.b', range: { start: { character: 6 }, end: { character: 7 } } } },
    ]);
  });

  test('offers preprocessor directives behind a percent sign, symbols of included files, and nothing in comments or strings', () => {
    expect(labelsAt('%|')).toContain('%macro');
    const { sources, position } = open('%include "part.inc"\n  mov rax, |', { '/part.inc': 'FROM_PART equ 3\n' });
    expect(complete(sources, MAIN, position).map(({ label }) => label)).toContain('FROM_PART');
    expect(labelsAt('  mov rax, 1 ; |')).toEqual([]);
    expect(labelsAt('  db "|')).toEqual([]);
  });

  test('documents the item that is looked at', () => {
    const { sources, position } = open('  |');
    const item = complete(sources, MAIN, position).find(({ label }) => label === 'wrmsr');
    expect(item && resolveCompletion(item).documentation).toMatchObject({ kind: 'markdown' });
  });
});

describe('navigation', () => {
  test('goes from a use to the definition, local labels by their parent', () => {
    const { sources, position } = open('one:\n.x: nop\ntwo:\n.x: nop\n  jmp .|x');
    expect(definition(sources, MAIN, position)).toMatchObject({ path: MAIN, range: { start: { line: 3, character: 0 } } });
  });

  test('goes into included files, and to the file of an include', () => {
    const files = { '/part.inc': '; part\nhelper:\n  ret\n' };
    const call = open('%include "part.inc"\n  call hel|per', files);
    expect(definition(call.sources, MAIN, call.position)).toMatchObject({ path: '/part.inc', range: { start: { line: 1 } } });
    const include = open('%include "par|t.inc"', files);
    expect(definition(include.sources, MAIN, include.position)).toMatchObject({ path: '/part.inc' });
  });

  test('finds definitions of constants, macros, structures, members and data', () => {
    const source = [
      'SIZE equ 4',
      '%macro put 1',
      '%endmacro',
      '%define WIDTH 2',
      'struc point',
      '.x: resd 1',
      'endstruc',
      'table db 1',
    ];
    const uses = { SIZE: 0, put: 1, WIDTH: 3, point: 4, 'point.x': 5, table: 7 };
    for (const [name, line] of Object.entries(uses)) {
      const { sources, position } = open(`${source.join('\n')}\n  ${name}|`);
      expect(definition(sources, MAIN, position), name).toMatchObject({ range: { start: { line } } });
    }
  });

  test('lists references, with or without the definition', () => {
    const { sources, position } = open('lo|op_start:\n  jmp loop_start ; loop_start\n  db "loop_start"\n  dq loop_start\n');
    const lines = (includeDefinition: boolean) =>
      references(sources, MAIN, position, includeDefinition).map(({ range }) => range.start.line);
    expect(lines(true)).toEqual([0, 1, 3]);
    expect(lines(false)).toEqual([1, 3]);
  });

  test('renames a label with the names that its local labels are reached by', () => {
    const { sources, text, position } = open('main|:\n.end: ret\nother:\n  jmp main.end\n  call main\n');
    const edits = rename(sources, MAIN, position, 'start').get(MAIN) ?? [];
    const lines = text.split('\n');
    for (const { range, newText } of [...edits].sort((a, b) => b.range.start.character - a.range.start.character)) {
      const line = lines[range.start.line] ?? '';
      lines[range.start.line] = line.slice(0, range.start.character) + newText + line.slice(range.end.character);
    }
    expect(lines.join('\n')).toBe('start:\n.end: ret\nother:\n  jmp start.end\n  call start\n');
  });

  test('renames across files', () => {
    const { sources, position } = open('%include "part.inc"\n  call hel|per', { '/part.inc': 'helper:\n  ret\n' });
    expect([...rename(sources, MAIN, position, 'print').keys()].sort()).toEqual([MAIN, '/part.inc']);
  });

  test.each([
    ['rax', 'a word of the assembler'],
    ['1st', 'no name'],
    ['b', 'defined already'],
    ['.c', 'local label'],
  ])('refuses to rename to %s', (name, reason) => {
    const { sources, position } = open('a|:\nb:\n');
    expect(() => rename(sources, MAIN, position, name)).toThrow(reason);
  });

  test('refuses to rename what the program does not define', () => {
    const { sources, position } = open('  mov ra|x, 1');
    expect(() => prepareRename(sources, MAIN, position)).toThrow('Only a name that the program defines');
  });
});

describe('outline', () => {
  const source =
    'SIZE equ 1\nmain:\n  nop\n.end:\n  ret\ntable: db 1\n%macro m 0\n  nop\n%endmacro\n; a\n; b\n%if 1\n  nop\n%else\n  hlt\n%endif\n';

  test('shows labels with their local labels', () => {
    const { sources } = open(source);
    const index = sources.index(MAIN);
    const shape = index && documentSymbols(index).map(({ name, children }) => [name, children?.map((child) => child.name)]);
    expect(shape).toEqual([
      ['SIZE', []],
      ['main', ['.end']],
      ['table', []],
      ['m', []],
    ]);
  });

  test('folds functions, macros, conditions and comments', () => {
    const { sources } = open(source);
    const index = sources.index(MAIN);
    const folds = index && foldingRanges(index).map(({ startLine, endLine }) => [startLine, endLine]);
    expect(folds).toEqual(
      expect.arrayContaining([
        [1, 4],
        [6, 8],
        [9, 10],
        [11, 12],
        [13, 15],
      ]),
    );
  });
});

test('half-written and hostile sources hurt nothing', () => {
  const pieces = [
    '%macro',
    ':',
    '.',
    '%%',
    '"',
    '%include "main.asm"',
    'struc',
    '\0',
    'equ',
    '%rep 9999999',
    '[',
    '`\\',
    'x'.repeat(5000),
    ';',
  ];
  for (let seed = 1; seed < 300; seed++) {
    let state = seed;
    const next = (limit: number) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return state % limit;
    };
    const text = Array.from({ length: next(12) }, () => `${pieces[next(pieces.length)]}${next(2) ? '\n' : ' '}`).join('');
    const { sources } = open(text);
    const position = { line: next(5), character: next(20) };
    hover(sources, MAIN, position);
    complete(sources, MAIN, position);
    references(sources, MAIN, position, true);
    const index = sources.index(MAIN);
    if (index) documentSymbols(index);
  }
});
