import type { ExitRecord } from '../../hypervisor/journal/exit-journal.ts';
import { columns } from '../console/command.ts';
import type { CrashFault } from './crash-faults.ts';
import { describePlace } from './crash-place.ts';
import type { CrashReport } from './crash-report.ts';

/** A section of aligned lines; nothing where there are none. */
function block(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`## ${title}`, '', '```', ...lines, '```', ''];
}

/** What the lines of a fault say, without the walk. */
export function faultLines(fault: CrashFault): string[] {
  const { raised } = fault;
  const about = fault.address === undefined ? '' : ` at ${fault.address}`;
  const lines = [
    `${fault.kind === undefined ? '' : `${fault.kind}, `}${fault.name}${about}${fault.bits.length === 0 ? '' : ` (${fault.bits.join('; ')})`}`,
  ];
  if (fault.cause !== undefined) lines.push(fault.cause);
  if (raised) {
    const where = raised.address === undefined ? '' : ` at ${raised.address}`;
    const bits = raised.bits.length === 0 ? '' : ` (${raised.bits.join('; ')})`;
    lines.push(`Its delivery raised ${raised.name}${where}${bits}.`);
  }
  if (fault.why !== undefined) lines.push(fault.why);
  return lines;
}

/** Exits, one a line: number, retired instructions, RIP, reason, request, result. */
export function exitLines(exits: readonly ExitRecord[]): string[] {
  return columns(
    exits.map(({ seq, icount, rip, reason, request, result }) => [
      `#${seq}`,
      icount,
      rip,
      reason,
      request,
      result === undefined ? '' : `→ ${result}`,
    ]),
  );
}

function chain({ faults, kind }: CrashReport): string[] {
  if (faults.length === 0) return [];
  const items = faults.flatMap((fault, index) => {
    const [first = '', ...rest] = faultLines(fault);
    const walk = fault.walk ? ['', '   ```', ...fault.walk.map((line) => `   ${line}`), '   ```'] : [];
    return [`${index + 1}. **${first}**`, ...rest.map((line) => `   ${line}`), ...walk];
  });
  if (kind === 'triple-fault') items.push(`${faults.length + 1}. **Triple fault**: the vCPU shut down.`);
  return ['## Faults', '', ...items, ''];
}

/** A report as Markdown. The same report gives the same text. */
export function crashMarkdown(report: CrashReport): string {
  const { instruction, configuration, run } = report;
  const operands = instruction.operands.map(
    ({ address, size, value }) =>
      `operand at ${address}${size === 0 ? '' : `, ${size} byte${size === 1 ? '' : 's'}`}: ${value ?? "can't be read"}`,
  );
  return [
    '# Hyperscope crash report',
    '',
    report.title,
    '',
    ...report.notes.flatMap((note) => [note, '']),
    ...block('What the guest reported', report.reported),
    ...chain(report),
    ...block('Instruction', [`${report.place.address}  ${instruction.bytes}  ${instruction.text}`, ...operands]),
    ...block(
      'Call stack',
      report.callStack.map((place, index) => `#${index} ${describePlace(place)}`),
    ),
    ...block(
      'Registers before the first fault',
      columns(report.registers.map(({ name, value, meaning = '' }) => [name, value, meaning])),
    ),
    ...block(
      'Code',
      columns(
        report.code.map(({ address, bytes, text, symbol, current }) => [
          current ? '=>' : '',
          address,
          bytes,
          `${text}${symbol === undefined ? '' : ` <${symbol}>`}`,
        ]),
      ),
    ),
    ...block(
      'Stack',
      columns(report.stack.map(({ address, value, symbol }) => [address, value, symbol === undefined ? '' : `<${symbol}>`])),
    ),
    ...block(
      'Page walks',
      report.walks.flatMap(({ address, lines, result }) => [`${address}: ${result}`, ...lines.map((line) => `  ${line}`)]),
    ),
    ...block('Last VM exits', exitLines(report.exits)),
    ...block(
      'Machine and run',
      columns([
        ['platform', configuration.platform],
        ['processor', `${configuration.cpu} (${configuration.vendor})`],
        ['memory', configuration.memory],
        ['vCPUs', String(configuration.vcpus)],
        ['instructions', run.instructions.join(', ')],
        ['guest time', `${run.time} ns`],
        ['state hash', run.stateHash],
      ]),
    ),
  ].join('\n');
}
